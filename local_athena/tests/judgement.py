"""What the local Athena makes of a statement, held against what Athena answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import ClientError

from tests.account import Account
from tests.statement import FOLDER, Statement

LEDGER = FOLDER / "ledger.txt"


class Verdict(StrEnum):
    """How an outcome compares with Athena's. The values are the headings of the ledger."""

    RIGHT = "right"
    WRONG = "wrong answers"
    MISNAMED = "refused under another name"
    NOT_SUPPORTED = "not supported yet"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what the local Athena answered."""

    verdict: Verdict
    answered: str


def judge(statement: Statement, account: Account) -> Judgement:
    """Run a statement and compare.

    What Athena refuses may be refused as not supported: that misleads no one.
    """
    error, answered = answer_to(statement.sql, account)
    if error is None:
        is_right = answered == _expected(statement, answered)
        return Judgement(Verdict.RIGHT if is_right else Verdict.WRONG, answered)
    if error in statement.errors or (error == "NOT_SUPPORTED" and statement.errors):
        return Judgement(Verdict.RIGHT, answered)
    if error == "NOT_SUPPORTED":
        return Judgement(Verdict.NOT_SUPPORTED, answered)
    return Judgement(Verdict.MISNAMED, answered)


def _expected(statement: Statement, answered: str) -> str | None:
    """The CSV file that Athena writes; its header is the one answered, unless it matters."""
    if statement.rows is None:
        return None
    header = statement.header or answered.partition("\n")[0]
    return "".join(f"{line}\n" for line in (header, *statement.rows))


def answer_to(sql: str, account: Account) -> tuple[str | None, str]:
    """The name of the error, or None, and the CSV file or the message."""
    try:
        id_ = account.start(sql)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        is_unsupported = message.startswith("NOT_SUPPORTED")
        return "NOT_SUPPORTED" if is_unsupported else "SYNTAX_ERROR", message
    outcome = account.wait(id_)
    if outcome.csv is None:
        return outcome.reason.partition(":")[0], outcome.reason
    return None, outcome.csv


# --- the ledger of what is not right


def read_ledger() -> dict[str, Verdict]:
    """The verdicts of the ledger, by the ids of its statements."""
    verdicts: dict[str, Verdict] = {}
    heading = Verdict.RIGHT
    for line in LEDGER.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = Verdict(line.removeprefix("## "))
        elif line and not line.startswith("#"):
            verdicts[line] = heading
    return verdicts


def write_ledger(verdicts: Mapping[str, Verdict]) -> None:
    """Write the ledger; statements without a verdict are right."""
    lines = ["# Written by `python -m tests.renew_ledger`."]
    for verdict in (Verdict.WRONG, Verdict.MISNAMED, Verdict.NOT_SUPPORTED):
        lines += ["", f"## {verdict}"]
        lines += sorted(id_ for id_, its in verdicts.items() if its is verdict)
    LEDGER.write_text("\n".join(lines) + "\n", encoding="utf-8")
