from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pytest

import athena_reports
from athena_reports import Report
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.publication.glue_table import Table
from athena_reports.settings import Settings
from tests.support.declared import MakeReport
from tests.support.deployment import own_deployment
from tests.support.memory_athena import MemoryAthena, serve
from tests.support.publishing import Place, week
from tests.support.virtual_clock import VirtualClock, virtual_clock

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

_databases = count(1)
# As Airflow prints it. Its provider logs there too.
_LOG_LINE = re.compile(r"\[(\w+) *\] (.*?) +\[[\w.]+\] loc=([\w.]+):")
_FILES = {path.name for path in Path(athena_reports.__file__).parent.rglob("*.py")}


@pytest.fixture(scope="session")
def glue(s3_endpoint: str) -> GlueClient:
    return boto3.session.Session().client("glue", endpoint_url=s3_endpoint)


@pytest.fixture
def database(glue: GlueClient) -> str:
    """A new and empty Glue database."""
    name = f"reports_{next(_databases)}"
    glue.create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def make_report(sql_folder: Path) -> MakeReport:
    """Declares a report that is right except where a test says otherwise."""

    def make(**fields: Any) -> Report:
        return Report(**{"name": "plays", "sql": "plays.sql", "since": "2025-01-01"} | fields)

    return make


@pytest.fixture
def deployment(sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a deployment where each is its own."""
    return own_deployment(monkeypatch)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


@pytest.fixture
def athena(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> MemoryAthena:
    """The Athena that every hook talks to."""
    athena = MemoryAthena()
    serve(athena, monkeypatch)
    return athena


@pytest.fixture
def logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[[], list[str]]:
    """Returns what this package has logged since the last call, such as `warning: It is late.`

    The lines of tasks and triggers come first, which Airflow prints, and then those of modules.
    """
    caplog.set_level(logging.INFO)

    def logged() -> list[str]:
        of_modules = [
            f"{record.levelname.lower()}: {record.getMessage()}"
            for record in caplog.records
            if record.name.startswith("athena_reports.")
        ]
        caplog.clear()
        printed = [
            f"{level}: {message}"
            for level, message, file in _LOG_LINE.findall(capsys.readouterr().out)
            if file in _FILES
        ]
        return [line for line in printed if line not in of_modules] + of_modules

    return logged


@pytest.fixture
def made_s3(monkeypatch: pytest.MonkeyPatch) -> list[S3]:
    """Each S3 that is made from now on: it knows who must own a bucket, and how to encrypt."""
    made: list[S3] = []
    make = S3.__init__

    def keep(self: S3, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        made.append(self)

    monkeypatch.setattr(S3, "__init__", keep)
    return made


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The Airflow connection of each hook of AWS that is made from now on."""
    made: list[str | None] = []
    make = SharedSessionHook.__init__

    def keep(self: SharedSessionHook, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        made.append(self.aws_conn_id)

    monkeypatch.setattr(SharedSessionHook, "__init__", keep)
    return made


@pytest.fixture
def memory_limits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The memory limit of each DuckDB that is opened from now on."""
    limits: list[str] = []
    connect = duckdb.connect

    def keep(database: str, config: dict[str, str]) -> Any:
        limits.append(config["memory_limit"])
        return connect(database, config=config)

    monkeypatch.setattr(duckdb, "connect", keep)
    return limits


@pytest.fixture
def place(s3: S3Client, bucket: str) -> Place:
    """A week in an empty bucket, of a report without a table."""
    return Place(S3(s3), week(bucket))


@pytest.fixture
def tabled(place: Place, glue: GlueClient, database: str) -> Place:
    """The same of a report with a table."""
    return Place(place.s3, place.location, Table(database, place.location.report, glue))
