"""`delivery`: the workbook of 100,000 rows, and the delivery of 20 of 100 rows.

Processor seconds of a process that has imported what it works with and read the DAG file, as a
worker does. A mail goes to a server of this process, a message to a stand-in of Slack's API.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import median

import duckdb

from athena_reports_cli.local.services import local_services
from bench import athena_output
from bench.local_airflow import WORK, figures_of, task_environment
from bench.results import Row
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.support.mail_server import mail_server
from tests.support.slack_server import slack_server

WORKBOOK_ROWS = 100_000
WORKBOOK_SECONDS = 5.0
WORKBOOK_MB = 150
DELIVERY_SECONDS = 1.0
ROUNDS = 5
_WORK = WORK / "delivery"
_DAGS = '''
"""A report of Airflow that is delivered."""
from datetime import timedelta

from athena_reports import Input, Report, build_dag, mail, slack, weekly

ages = timedelta(days=36500)
delivered = Report(
    name="delivered", sql="user_ranking.sql", owner="analytics", since="2025-01-01", doc=__doc__,
    params={"top": 100}, inputs=[Input("plays", "dt", previous=True)], key=["user_id"],
)
channels = [
    mail("mail", to=["sales@example.com"], rows=20, bar="score", attach="xlsx"),
    slack("slack", channel="#sales", rows=20),
]
dag = build_dag(delivered, weekly("sunday", "Asia/Tokyo"), deliver=channels, deliver_within=ages)
'''


def measure() -> Sequence[Row]:
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # of the mail server
    shutil.rmtree(_WORK, ignore_errors=True)
    _WORK.mkdir(parents=True)
    return [*_workbook_rows(), *_delivery_rows()]


def _workbook_rows() -> Sequence[Row]:
    parquet = _WORK / "rows.parquet"
    duckdb.sql(athena_output.rows(0, WORKBOOK_ROWS)).write_parquet(str(parquet))
    ours = [_run("workbook", str(parquet)) for _ in range(ROUNDS)]
    theirs = [_run("openpyxl", str(parquet)) for _ in range(ROUNDS)]
    cpu_unit = f"processor seconds for {WORKBOOK_ROWS:,} rows; the ratio is to {WORKBOOK_SECONDS} s"
    memory_unit = (
        f"MB at the peak of the process with its imports; the ratio is to {WORKBOOK_MB} MB"
    )
    rows = []
    for name, unit, figure, limit in (
        ("CPU", cpu_unit, "cpu_seconds", WORKBOOK_SECONDS),
        ("memory", memory_unit, "peak_mb", WORKBOOK_MB),
    ):
        others = {"openpyxl, write-only": median(found[figure] for found in theirs)}
        mine = median(found[figure] for found in ours)
        rows.append(Row.of(f"delivery workbook: {name}", unit, mine, others, limit))
    return rows


def _delivery_rows() -> Sequence[Row]:
    file = _WORK / "dags" / "delivered.py"
    file.parent.mkdir()
    file.write_text(_DAGS)
    with (
        local_services(_WORK / "aws.log") as services,
        mail_server() as mails,
        slack_server() as slack,
    ):
        services.prepare("dev")
        days = {"start": date(2025, 2, 28), "end": date(2025, 3, 18)}
        seed_plays(services, "dev", PlaysSpec(**days, events=4_000, users=500, seed=11))
        environment = {
            **services.environment,
            "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent),
            "AIRFLOW_CONN_SMTP_DEFAULT": mails.connection,
            "AIRFLOW_CONN_SLACK_API_DEFAULT": slack.connection,
        }
        _run("publish", str(file), environment=environment)
        rows = []
        for channel in ("mail", "slack"):
            unit = f"processor seconds; the ratio is to {DELIVERY_SECONDS} s"
            found = [
                _run("deliver", str(file), channel, str(number), environment=environment)
                for number in range(ROUNDS)
            ]
            mine = median(each["cpu_seconds"] for each in found)
            name = f"delivery of 20 rows, {channel}: CPU"
            rows.append(Row.of(name, unit, mine, {}, DELIVERY_SECONDS))
        if len(mails.arrived) != ROUNDS or len(slack.arrived) != ROUNDS:
            raise RuntimeError(f"{len(mails.arrived)} and {len(slack.arrived)} have arrived.")
    return rows


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> Mapping[str, float]:
    """Run a function of `delivery_task` in a process of its own, and return its figures."""
    variables = task_environment(_WORK / "home", environment or {})
    figures: Mapping[str, float]
    figures = figures_of("bench.delivery_task", *arguments, environment=variables)
    return figures
