from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from tests.account import Account
from tests.statement import load

from local_athena import LocalAws
from local_athena.athena import results
from local_athena.athena.catalog import Table
from local_athena.athena.dialect import parse
from local_athena.athena.engine import Engine
from local_athena.athena.errors import QueryFailed
from local_athena.athena.translate import translate
from tests import judgement


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def compute(engine: Engine) -> Callable[..., str]:
    """Runs a query without tables and gives its CSV, without the header."""

    def no_table(database: str, name: str) -> Table:
        raise QueryFailed(
            "TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{database}.{name}' does not exist"
        )

    def compute(sql: str, *parameters: str) -> str:
        translation = translate(parse(sql, parameters), SimpleNamespace(table=no_table), "db")
        batches = engine.run(translation.sql, {})
        return b"".join(bytes(results.csv_rows(b, translation.types)) for b in batches).decode()

    return compute


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


@pytest.fixture
def account(aws: LocalAws) -> Account:
    """A new account: what other tests left is gone."""
    aws.reset()
    return Account(aws)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of the statements are right, as the ledger says, whenever they ran."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    if any("test_statements.py" in report.nodeid for report in reports):
        for line in judgement.shares(load(), judgement.read_ledger()):
            terminalreporter.write_line(line)
