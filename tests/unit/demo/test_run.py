"""Which runs the demo asks Airflow for; the nightly tests run all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console

from athena_reports.periods.calendar import weekly
from athena_reports_cli.local.client import AirflowRuntimeError, RestAirflow
from demo.lake import DEMO_PLAYS
from demo.run import (
    JOBS,
    LATE_WEEK,
    DemoError,
    Job,
    jobs_of,
    run_jobs,
    start,
    told,
)
from tests.support.memory_store import MemoryS3
from tests.support.rest_api import TOKEN, RestApi, rest_api, run_of

WEEKLY = Job("plays", "weekly", "Asia/Tokyo", "2025-06-01", "2025-06-22", ["2025-03-09"])
MONTHLY = Job("plays", "monthly", "Asia/Tokyo", "2025-04-01", "2025-06-01")


@dataclass
class DemoAirflow(RestApi):
    """An Airflow that starts what it is asked for, and whose runs succeed at once."""

    bounds: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # dates of each DAG
    failing: Sequence[str] = ()  # the DAGs whose runs fail

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any]:
        path = path.partition("?")[0]
        if method == "POST":
            self.requests.append((path, body))
        if path == "/auth/token":
            return HTTPStatus.OK, {"access_token": TOKEN}
        if authorization != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, {}
        if path == "/api/v2/dags":
            dags = [{"dag_id": dag_id} for dag_id in self.bounds]
            return HTTPStatus.OK, {"dags": dags, "total_entries": len(dags)}
        if path == "/api/v2/backfills":
            return HTTPStatus.OK, {"id": 1}
        dag_id = path.split("/")[4]
        if path.endswith("/details"):
            first, last = self.bounds[dag_id]
            return HTTPStatus.OK, {"start_date": first, "end_date": last}
        if path.endswith("/taskInstances"):
            return HTTPStatus.OK, {"task_instances": [], "total_entries": 0}
        state = "failed" if dag_id in self.failing else "success"
        run = run_of("run", state, dag_id)
        if method == "POST":
            return HTTPStatus.OK, run
        if path.endswith("/dagRuns"):
            return HTTPStatus.OK, {"dag_runs": [run], "total_entries": 1}
        return HTTPStatus.OK, run


@pytest.fixture
def airflow() -> Iterator[DemoAirflow]:
    with rest_api({}, kind=DemoAirflow) as api:
        assert isinstance(api, DemoAirflow)
        yield api


def runtime(airflow: DemoAirflow, dags_folder: Path, *files: str) -> Any:
    """What the demo needs of an `AirflowRuntime`, whose DAGs folder has some files."""
    waited_for: list[set[str]] = []
    for name in files:
        (dags_folder / name).touch()
    return SimpleNamespace(
        client=RestAirflow(airflow.url, login=("admin", "secret")),
        config=SimpleNamespace(dags_folder=dags_folder),
        wait_until_parsed=waited_for.append,
        waited_for=waited_for,
    )


@pytest.mark.parametrize(
    ("first_date", "last_date", "first", "last"),
    [
        ("2025-01-01", None, "2025-06-01", "2025-06-22"),
        ("2025-06-08", "2025-12-31", "2025-06-08", "2025-06-22"),
        ("2025-01-01", "2025-06-15", "2025-06-01", "2025-06-15"),
    ],
)
def test_a_job_backfills_what_its_report_has_data_for_and_triggers_single_periods(
    first_date: str, last_date: str | None, first: str, last: str, airflow: DemoAirflow
) -> None:
    end = last_date and f"{last_date}T00:00:00+09:00"
    airflow.bounds = {"plays_weekly": (f"{first_date}T00:00:00+09:00", end)}
    assert start(RestAirflow(airflow.url, login=("admin", "secret")), WEEKLY)
    login, backfill, run = airflow.requests
    assert login == ("/auth/token", {"username": "admin", "password": "secret"})
    assert backfill == (
        "/api/v2/backfills",
        {
            "dag_id": "plays_weekly",
            "from_date": f"{first}T00:00:00+09:00",
            "to_date": f"{last}T00:00:00+09:00",
        },
    )
    assert run == (
        "/api/v2/dags/plays_weekly/dagRuns",
        {"conf": {"period": "2025-03-09"}, "logical_date": None},
    )
    assert WEEKLY.summary == ("backfill from 2025-06-01 to 2025-06-22, and a run for 2025-03-09")
    assert MONTHLY.summary == "backfill from 2025-04-01 to 2025-06-01"


@pytest.mark.parametrize(
    "bounds",
    [("2025-06-22T00:00:01+09:00", None), ("2025-01-01T00:00:00Z", "2025-05-31T14:59:59Z")],
)
def test_a_job_beyond_the_data_of_its_report_starts_nothing(
    bounds: tuple[str, str | None], airflow: DemoAirflow
) -> None:
    airflow.bounds = {"plays_weekly": bounds}
    assert not start(RestAirflow(airflow.url, login=("admin", "secret")), WEEKLY)
    assert [path for path, _ in airflow.requests] == ["/auth/token"]


def test_jobs_are_those_of_the_samples_that_are_there(airflow: DemoAirflow, tmp_path: Path) -> None:
    airflow.bounds = {"plays_weekly": ("2025-01-01", None), "other_weekly": ("2025-01-01", None)}
    runs = runtime(airflow, tmp_path, "plays.py", "other.py", "plays.sql")
    gone = Job("gone", "weekly", "UTC", "2025-06-01", "2025-06-22")
    assert jobs_of(runs, [WEEKLY, MONTHLY, gone]) == [WEEKLY]
    assert runs.waited_for == [{"plays.py"}]  # other files may have no DAG, and are not waited for


def test_the_demo_restates_the_week_of_a_play_that_lands_late(
    airflow: DemoAirflow, tmp_path: Path
) -> None:
    airflow.bounds = {job.dag_id: ("2013-01-01T00:00:00Z", None) for job in JOBS}
    runs = runtime(airflow, tmp_path, "user_ranking.py", "carrier_ranking.py")
    s3 = MemoryS3()
    services: Any = SimpleNamespace(s3=s3)
    told_lines: list[str] = []
    assert run_jobs(services, runs, told_lines.append) == list(JOBS)
    ended = [f"{job.dag_id}: 1 run succeeded" for job in JOBS]
    assert told_lines == [
        *[f"{job.dag_id}: {job.summary}" for job in JOBS],
        *ended,
        f"user_ranking_weekly: a play of {LATE_WEEK} arrived late, so that week runs again",
        ended[0],
    ]
    assert airflow.requests[-1] == (
        "/api/v2/dags/user_ranking_weekly/dagRuns",
        {"conf": {"period": LATE_WEEK}, "logical_date": None},
    )
    backfills = [body["dag_id"] for path, body in airflow.requests if path.endswith("backfills")]
    assert backfills == [job.dag_id for job in JOBS]
    ((place, stored),) = s3.objects.items()
    assert place.startswith("athena-lake-dev/plays/dt=2025-06-29/")
    file = tmp_path / "late.parquet"
    file.write_bytes(stored.body)
    (play,) = pq.read_table(file).to_pylist()
    # In the last minute of the week in Tokyo, and with the best score of all.
    assert play["played_at"] == datetime(2025, 6, 28, 14, 59, tzinfo=UTC).replace(tzinfo=None)
    assert play["score"] == 70_000


def test_the_jobs_are_of_periods_that_the_lakes_have() -> None:
    assert (DEMO_PLAYS.events, (DEMO_PLAYS.end - DEMO_PLAYS.start).days) == (1_000_000, 181)
    plays, _, flights, _ = JOBS
    weeks = weekly("sunday", plays.timezone)
    ids = (plays.first, plays.last, LATE_WEEK)
    first, last, late = (weeks.period(period_id) for period_id in ids)
    assert last == late
    assert DEMO_PLAYS.start < first.first_date < late.first_date
    # The last partition has the events that land a day after the last week.
    assert late.end_utc.date() + timedelta(days=1) < DEMO_PLAYS.end
    # Of the flights, a week of 167 hours and one of 169 are among them.
    weeks = weekly("monday", flights.timezone)
    bounds = weeks.period(flights.first), weeks.period(flights.last)
    run_weeks = [
        *map(weeks.period, flights.periods),
        *weeks.between(bounds[0].start, bounds[1].end),
    ]
    assert {week.end_utc - week.start_utc for week in run_weeks} == {
        timedelta(hours=hours) for hours in (167, 168, 169)
    }


def test_without_plays_nothing_lands_late(airflow: DemoAirflow, tmp_path: Path) -> None:
    carriers = list(JOBS[2:])
    airflow.bounds = {job.dag_id: ("2013-01-01T00:00:00Z", None) for job in carriers}
    runs = runtime(airflow, tmp_path, "carrier_ranking.py")
    assert run_jobs(SimpleNamespace(s3=None), runs, lambda _: None) == carriers  # type: ignore[arg-type]


def test_a_run_that_fails_ends_the_demo(airflow: DemoAirflow, tmp_path: Path) -> None:
    airflow.bounds = {job.dag_id: ("2013-01-01T00:00:00Z", None) for job in JOBS}
    airflow.failing = ["carrier_ranking_monthly"]
    runs = runtime(airflow, tmp_path, "user_ranking.py", "carrier_ranking.py")
    with pytest.raises(AirflowRuntimeError, match="Run run of carrier_ranking_monthly is failed"):
        run_jobs(SimpleNamespace(s3=MemoryS3()), runs, lambda _: None)  # type: ignore[arg-type]


def test_without_the_samples_there_is_nothing_to_show(airflow: DemoAirflow, tmp_path: Path) -> None:
    runs = runtime(airflow, tmp_path, "of_the_team.py")
    with pytest.raises(DemoError, match=r"dags/ has none of the demo's reports.*`make up`"):
        run_jobs(SimpleNamespace(s3=None), runs, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (AirflowRuntimeError("[it ended]"), 1, "Failed: [it ended]\nLogs: "),
        (OSError("no space"), 1, "Failed: no space\nLogs: "),
        (EndpointConnectionError(endpoint_url="x"), 1, "Failed: Could not connect"),
        (KeyboardInterrupt(), 130, "Interrupted; everything that was started has been stopped."),
    ],
)
def test_an_error_is_one_message_and_the_exit_code(
    error: BaseException, code: int, says: str
) -> None:
    output = StringIO()
    with pytest.raises(SystemExit) as ended, told(Console(file=output, width=500)):
        raise error
    assert ended.value.code == code
    assert output.getvalue().startswith(f"\n{says}")
