"""A delivery dies between any two of its calls, and a later try ends what it has begun.

Before its first call and after its last one are such moments too. Between two calls it only reads
and computes, so one moment stands for all of them. A mail server and a stand-in of Slack's API say
what has arrived.

This file is also the program that delivers, a process for each try.
"""

from __future__ import annotations

import json
import os
import smtplib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException
from botocore.client import BaseClient
from slack_sdk import WebClient

from athena_reports import weekly
from athena_reports.aws.s3 import split_uri
from athena_reports.delivery import decision
from athena_reports_cli.local.services import Services
from tests.services.forked import Program, answer_lines, fork_each, program
from tests.support import botocore_caches
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.airflow_versions import since_3_3
from tests.support.dag_files import parse_dags
from tests.support.examples import delivery_dag_file
from tests.support.mail_server import MailServer, mail_server
from tests.support.reports import DAGS, SQL
from tests.support.slack_server import SlackServer, slack_server
from tests.support.task_runner import execute, prepare, run_dag

pytestmark = since_3_3

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-03-09")
SOON = WEEK.end_utc + timedelta(hours=1)
SCHEDULED = DagRun("scheduled", SOON, WEEK.start_utc, WEEK.end_utc, start_date=SOON)
DELIVERING = replace(DagRun.manual(SOON), run_type="asset_triggered", partition_key=WEEK.id)
AT_ANY_TIME = "deliver_within=timedelta(days=36500), correct_within=timedelta(days=36500),"
IMPORTED_LATE = ["duckdb", "boto3.s3.transfer", "xlsxwriter", "slack_sdk"]
SENT, FAILED, WAITED, SKIPPED, KILLED = 0, 1, 2, 3, 9  # how the process of a try ends


@dataclass(frozen=True)
class Try:
    """One try of the task of a channel, by a process of its own if it is forked.

    `calls_before_death` is how many of its calls are carried out before it dies; None if it lives.
    `is_later` is whether the claims of earlier tries have expired.
    """

    dag_file: str
    report: str
    channel: str
    run_id: str
    log: str
    calls_before_death: int | None = None
    forked: bool = True
    is_later: bool = False


# --- the program that delivers


def serve() -> None:
    """Let a process make the try of each line, and answer with its exit code.

    What a try loads that is not forked, such as the models of botocore, those after it have.
    """
    botocore_caches.keep(pytest.MonkeyPatch())
    dags: dict[str, Any] = {}

    def answer(line: Any) -> int:
        asked = Try(**line)
        if asked.dag_file not in dags:
            dags[asked.dag_file] = parse_dags(Path(asked.dag_file))
        dag = dags[asked.dag_file][f"{asked.report}_weekly_deliver"]
        if asked.forked:
            (code,) = fork_each([partial(run, asked, dag)])
            return code
        deliver(asked, dag)
        return SENT

    answer_lines(lambda: answer, IMPORTED_LATE)


def deliver(asked: Try, dag: Any) -> None:
    xcoms = TaskInstance(dag_id=dag.dag_id, run_id=asked.run_id)
    task, context = prepare(dag.get_task(asked.channel), xcoms, asked.run_id, DELIVERING)
    execute(task, context)


def run(asked: Try, dag: Any) -> None:
    """Deliver, or die on the way; never returns."""
    calls: list[str] = []

    def die_if_due() -> None:
        if len(calls) == asked.calls_before_death:
            os._exit(KILLED)

    def note_calls_of(owner: Any, name: str, name_of_call: Callable[..., str]) -> None:
        function = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            die_if_due()
            calls.append(name_of_call(*args))
            return function(*args, **kwargs)

        setattr(owner, name, noted)

    note_calls_of(BaseClient, "_make_api_call", lambda _, operation, *__: str(operation))
    note_calls_of(smtplib.SMTP, "send", lambda _, text: _smtp_command(text))
    note_calls_of(WebClient, "chat_postMessage", lambda _: "chat.postMessage")
    if asked.is_later:
        decision.TIME_TO_SEND = timedelta(0)
    code = SENT
    try:
        deliver(asked, dag)
        die_if_due()
    except AirflowSkipException:
        code = SKIPPED
    except AirflowException as error:
        sys.excepthook(*sys.exc_info())
        code = WAITED if "The claim expires at" in str(error) else FAILED
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = FAILED
    sys.stderr.flush()
    Path(asked.log).write_text(json.dumps(calls))
    os._exit(code)


def _smtp_command(text: str | bytes) -> str:
    """Return what a client of SMTP sends: a command, or the mail after DATA."""
    if isinstance(text, bytes):
        return "the mail"
    return text[:4].strip().upper()


# --- the tests

READ = ["GetObject", "ListObjectsV2"]  # the manifest, and which claims and receipts there are
ONE_RECEIPT = ["GetObject"]
CLAIM = ["PutObject"]
ROWS = ["HeadObject", "GetObject"]
PERIOD_BEFORE = ["GetObject"]  # its manifest, which is not there
BY_MAIL = ["EHLO", "MAIL", "RCPT", "DATA", "the mail"]
RECEIPT = ["PutObject"]
NOTE = ["GetObject", "PutObject"]  # of the try
FIRST = [*NOTE, *READ, *CLAIM, *ROWS, *PERIOD_BEFORE]
CORRECTION = [*NOTE, *READ, *ONE_RECEIPT, *CLAIM, *ROWS, *PERIOD_BEFORE, *ROWS]
SCENARIOS = {
    "first mail": [*FIRST, *BY_MAIL, *RECEIPT],
    "correction by mail": [*CORRECTION, *BY_MAIL, *RECEIPT],
    "first message in Slack": [*FIRST, "chat.postMessage", *RECEIPT],
    "correction in Slack": [*CORRECTION, "chat.postMessage", *RECEIPT],
}
FROM = dict.fromkeys(SCENARIOS, 99) | {"first mail": len(FIRST), "correction in Slack": 0}
"""The call from which on CI kills a scenario. A correction has those before a mail, too."""
SENDING = ("the mail", "chat.postMessage")


class Deliverers:
    """The program, running."""

    def __init__(self, delivering: Program) -> None:
        self._program = delivering

    def run(self, asked: Try) -> int:
        """Let a process make a try, and return how it has ended."""
        code = int(self._program.ask(asdict(asked)))
        assert code != FAILED, self._program.log
        return code


@dataclass
class World:
    """A period that no channel has got, and one of which all have got the version before."""

    deliverers: Deliverers
    mails: MailServer
    slack: SlackServer
    folder: Path
    published: dict[str, dict[str, str]]  # what `publish` returned, by report

    def first_try(self, scenario: str) -> Try:
        """Return a try of a scenario, after which nothing was sent yet."""
        report = "killed_correction" if "correction" in scenario else "killed_first"
        channel = "team" if "Slack" in scenario else "sales"
        self._receipts(report).delete()
        self._objects(report, "tries/").delete()
        self.mails.arrived.clear()
        self.slack.arrived.clear()
        return self.new_try(report, channel, "event-2")

    def new_try(self, report: str, channel: str, run_id: str) -> Try:
        log = str(self.folder / "calls.json")
        return Try(str(self.folder / f"{report}.py"), report, channel, run_id, log)

    def publish(self, report: str, run_id: str, *, top: int) -> None:
        """Publish the week of a report of so many rows."""
        text = delivery_dag_file().replace('"top": 100', f'"top": {top}')
        text = text.replace("    deliver=[", f"    {AT_ANY_TIME}\n    deliver=[")
        text = text.replace("best_users", report)
        file = self.folder / f"{report}.py"
        file.write_text(f"from datetime import timedelta\n{text}")
        ran = run_dag(parse_dags(file)[f"{report}_weekly"], SCHEDULED, run_id=run_id)
        self.published[report] = ran.values["publish", "return_value"]

    def arrived(self, channel: str) -> list[Any]:
        """Return what has arrived at a channel."""
        if channel == "team":
            return list(self.slack.arrived)
        return [mail for _, mail in self.mails.arrived]

    def receipts_of(self, report: str) -> list[str]:
        """Return the numbers of the receipts of the version that is published."""
        keys = [Path(item.key) for item in self._receipts(report)]
        return [key.stem for key in keys if key.suffix == ".json"]

    def _receipts(self, report: str) -> Any:
        return self._objects(report, f"receipts/{self.published[report]['version']}/")

    def _objects(self, report: str, folder: str) -> Any:
        bucket, key = split_uri(self.published[report]["manifest"])
        prefix = key.removesuffix("manifest.json") + folder
        return boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix)


@pytest.fixture(scope="module")
def world(
    running_services: Services, plays_lake: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("delivered")
    with mail_server() as mails, slack_server() as slack, pytest.MonkeyPatch.context() as patch:
        variables = {
            **running_services.environment,
            "ATHENA_REPORTS_SQL_FOLDER": str(SQL),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW_CONN_SMTP_DEFAULT": mails.connection,
            "AIRFLOW_CONN_SLACK_API_DEFAULT": slack.connection,
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        with program(__file__, folder) as delivering:
            deliverers = Deliverers(delivering)
            world = World(deliverers, mails, slack, folder, {})
            world.publish("killed_first", "run-1", top=100)
            world.publish("killed_correction", "run-1", top=100)
            for channel in ("sales", "team"):
                before = world.new_try("killed_correction", channel, "event-1")
                assert deliverers.run(replace(before, forked=False)) == SENT
            world.publish("killed_correction", "run-2", top=95)
            yield world


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_these_are_all_the_calls(world: World, scenario: str) -> None:
    asked = world.first_try(scenario)
    assert world.deliverers.run(asked) == SENT
    assert json.loads(Path(asked.log).read_text()) == SCENARIOS[scenario]


@pytest.mark.parametrize(
    ("scenario", "number"),
    [
        pytest.param(scenario, number, marks=[pytest.mark.full] if number < FROM[scenario] else [])
        for scenario, calls in SCENARIOS.items()
        for number in range(len(calls) + 1)
    ],
)
def test_a_delivery_that_dies_between_any_calls_arrives_once_or_in_one_window_twice_as_the_same(
    world: World, scenario: str, number: int
) -> None:
    asked = world.first_try(scenario)
    calls = SCENARIOS[scenario]
    (sending,) = [place for place, call in enumerate(calls) if call in SENDING]
    is_claimed = number > calls.index("PutObject", len(NOTE))
    is_sent = number > sending
    is_noted = number == len(calls)

    assert world.deliverers.run(replace(asked, calls_before_death=number)) == KILLED
    assert len(world.arrived(asked.channel)) == is_sent
    if is_claimed and not is_noted:
        assert world.deliverers.run(asked) == WAITED
    later = replace(asked, is_later=True)
    assert world.deliverers.run(later) == (SKIPPED if is_noted else SENT)
    assert world.deliverers.run(asked) == SKIPPED
    another_event = replace(asked, run_id="event-3")
    assert world.deliverers.run(another_event) == SKIPPED

    messages = world.arrived(asked.channel)
    is_in_window = is_sent and not is_noted
    assert len(messages) == (2 if is_in_window else 1)
    assert world.receipts_of(asked.report) == ["1"]
    for message in messages:
        if asked.channel == "team":
            assert message == messages[0]
            assert ("thread_ts" in message) == ("correction" in scenario)
        else:
            assert message["Message-ID"] == messages[0]["Message-ID"]
            assert (message["In-Reply-To"] is None) == ("first" in scenario)
            assert message["Subject"].startswith("Correction: ") == ("correction" in scenario)


if __name__ == "__main__":
    serve()
