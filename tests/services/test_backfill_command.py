"""`backfill` as a command: Airflow is asked for exactly the periods that start in the dates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.api_fastapi.core_api.datamodels.backfills import BackfillPostBody
from airflow.serialization.serialized_objects import DagSerialization

from tests.support.dag_files import load_dags
from tests.support.flown import ALL_WEEKS, DAG_ID, WEEKS, Flown
from tests.support.rest_api import TOKEN, RestApi, rest_api, run_of
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
NEW_YORK = ZoneInfo("America/New_York")
DRY_RUN = "POST /api/v2/backfills/dry_run"
BEGIN = "POST /api/v2/backfills"
MONTHLY = """
from athena_reports import monthly
flown_monthly = build_dag(flown, monthly("America/New_York"))
"""

FRESH = """
from athena_reports import Input, Report, build_dag, weekly

fresh = Report(
    name="fresh",
    sql="flown.sql",
    owner="analytics",
    since="2013-03-04",
    until="2013-12-30",
    inputs=[Input("flights", "dt", missing="partial")],
)
fresh_weekly = build_dag(fresh, weekly("monday", "{zone}"))
"""


class BackfillingApi(RestApi):
    """An API whose backfills take the periods that Airflow's own code takes.

    Attributes:
        succeeded: The weeks whose run has succeeded.
    """

    succeeded: tuple[str, ...] = ()
    dags: dict[str, Any]
    backfills: list[dict[str, Any]]

    def deploy(self, file: Path, dag_id: str) -> None:
        """Let Airflow have a DAG as its file has it."""
        declared = load_dags(file)[dag_id]
        stored = json.loads(json.dumps(DagSerialization.to_dict(declared)))
        dag: Any = DagSerialization.from_dict(stored)
        self.dags[dag_id] = dag
        arguments = {name: dag.default_args[name] for name in ("environment", "logic")}
        body = {
            "default_args": arguments,
            "is_paused": False,
            "timetable_description": dag.timetable.description,
            "start_date": dag.start_date.isoformat(),
            "end_date": None,
        }
        if dag.end_date is not None:
            body["end_date"] = dag.end_date.isoformat()
        details = f"GET /api/v2/dags/{dag_id}/details"
        known = dict.fromkeys((details, _latest(dag_id), DRY_RUN, BEGIN), HTTPStatus.OK)
        self.statuses = {**self.statuses, **known}
        self.bodies = {**self.bodies, details: body}

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any] | None:
        request = f"{method} {path}"
        known = super().answer(method, path, body, authorization)
        if known is None or known[0] != HTTPStatus.OK:
            return known
        for dag_id in self.dags:
            if request == _latest(dag_id):
                return HTTPStatus.OK, {"backfills": self.backfills_of(dag_id)}
        if request == DRY_RUN:
            return HTTPStatus.OK, {"backfills": self.runs_of(body)}
        if request != BEGIN:
            return known
        others = self.backfills_of(body["dag_id"])
        if any(backfill["completed_at"] is None for backfill in others):
            return HTTPStatus.CONFLICT, {"detail": "There is already a running backfill."}
        assert BackfillPostBody.model_validate(body).reprocess_behavior == "failed"
        backfill = {"id": len(self.backfills) + 1, "completed_at": None, **body}
        self.backfills.insert(0, backfill)
        return HTTPStatus.OK, backfill

    def backfills_of(self, dag_id: str) -> list[dict[str, Any]]:
        return [backfill for backfill in self.backfills if backfill["dag_id"] == dag_id]

    def runs_of(self, body: Any) -> list[dict[str, str]]:
        asked = BackfillPostBody.model_validate(body)
        assert asked.reprocess_behavior == "failed"
        dag = self.dags[asked.dag_id]
        infos = dag.iter_dagrun_infos_between(asked.from_date, asked.to_date)
        starts = [info.logical_date for info in infos if info.data_interval.end < datetime.now(UTC)]
        return [
            {"logical_date": start.isoformat().replace("+00:00", "Z")}
            for start in starts
            if start.astimezone(NEW_YORK).date().isoformat() not in self.succeeded
        ]

    def begun(self) -> list[tuple[str, ...]]:
        """The weeks of each backfill that was begun, by the code of Airflow."""
        weeks = []
        for request, body in self.requests:
            if request == BEGIN:
                infos = self.dags[body["dag_id"]].iter_dagrun_infos_between(
                    datetime.fromisoformat(body["from_date"]),
                    datetime.fromisoformat(body["to_date"]),
                )
                days = [info.logical_date.astimezone(NEW_YORK).date() for info in infos]
                weeks.append(tuple(day.isoformat() for day in days))
        return weeks


def _latest(dag_id: str) -> str:
    """The request for the backfills of a DAG."""
    return f"GET /api/v2/backfills?dag_id={dag_id}&order_by=-id"


@pytest.fixture
def airflow(flown: Flown, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackfillingApi]:
    """An Airflow that has the DAG as its file has it."""
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with rest_api({}, kind=BackfillingApi) as api:
        assert isinstance(api, BackfillingApi)
        api.dags = {}
        api.backfills = []
        api.deploy(flown.root / "dags" / "flown.py", DAG_ID)
        yield api


def backfill(shell: Shell, airflow: RestApi, *words: str) -> tuple[int, str]:
    return shell("backfill", DAG_ID, "--airflow", airflow.url, "--yes", *words)


@pytest.mark.parametrize(
    ("first", "last", "weeks"),
    [
        # Both weeks begin at 05:00 or 04:00 in UTC: bounds of UTC dates would lose the last one.
        ("2013-03-04", "2013-03-11", WEEKS[:2]),
        ("2013-03-05", "2013-12-31", ALL_WEEKS[1:]),
    ],
)
def test_the_periods_that_start_in_the_dates_are_run_and_no_other(
    first: str,
    last: str,
    weeks: tuple[str, ...],
    shell: Shell,
    airflow: BackfillingApi,
) -> None:
    code, printed = backfill(shell, airflow, "--from", first, "--to", last)
    assert code == 0, printed
    assert airflow.begun() == [weeks]
    count = "1 period" if len(weeks) == 1 else f"{len(weeks)} periods"
    plan = f"{DAG_ID}: {len(weeks)} of {count} to run\n  to run: {', '.join(weeks)}\n"
    assert plan in printed
    link = f"{airflow.url}/dags/{DAG_ID}/backfills"
    assert f"started backfill 1 ({count}). See {link}" in printed


def test_what_is_published_is_left_alone_or_named_if_airflow_has_no_run_of_it(
    shell: Shell, airflow: BackfillingApi
) -> None:
    airflow.succeeded = WEEKS[:2]
    code, printed = backfill(shell, airflow, "--from", "2013-03-04", "--to", "2013-03-25")
    assert code == 0
    assert airflow.begun() == [ALL_WEEKS[2:]]
    assert "2 of 4 periods to run\n  to run: 2013-03-18, 2013-03-25\n" in printed
    assert "and published again: 2013-03-18\n" in printed
    assert "skipped: Airflow already has a run: 2013-03-04, 2013-03-11\n" in printed
    airflow.succeeded = ALL_WEEKS
    airflow.backfills.clear()
    code, printed = backfill(shell, airflow, "--from", "2013-03-04", "--to", "2013-03-25")
    assert (code, len(airflow.begun())) == (0, 1)
    assert f"skipped: Airflow already has a run: {', '.join(ALL_WEEKS)}\n" in printed
    assert "Nothing to run.\n" in printed


def test_without_a_yes_nothing_begins(
    airflow: BackfillingApi, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates = ("--from", "2013-03-04", "--to", "2013-03-11")
    monkeypatch.setenv("AIRFLOW_URL", airflow.url)
    code, _ = shell("backfill", "flown", *dates, answer="\n")
    assert code == 1
    assert "Start these runs? [y/N]" in shell.errors
    assert airflow.begun() == []

    code, printed = shell("backfill", "flown", *dates, answer="y\n")
    assert code == 0, printed
    assert airflow.begun() == [WEEKS[:2]]


def test_a_folder_of_another_calendar_is_refused_before_a_run_begins_or_a_plan_is_paid(
    shell: Shell, airflow: BackfillingApi, flown: Flown
) -> None:
    file = flown.root / "dags" / "flown.py"
    text = file.read_text()
    assert "America/New_York" in text
    file.write_text(text.replace("America/New_York", "Europe/London"))
    airflow.deploy(file, DAG_ID)
    code, printed = backfill(shell, airflow, "--from", "2013-03-04", "--to", "2013-03-11")
    assert code == 1, printed
    assert "Weekly from Monday, Europe/London, would reuse" in printed
    assert airflow.begun() == []

    before = flown.queries().keys()
    code, printed = shell("plan", "flown")
    assert code == 1
    assert "Weekly from Monday, Europe/London, would reuse" in printed
    assert "[y/N]" not in printed
    assert flown.queries().keys() == before


def test_a_range_without_any_period_is_an_error(
    shell: Shell, airflow: BackfillingApi, flown: Flown
) -> None:
    dates = ("--from", "2062-06-01", "--to", "2062-06-30")
    code, printed = shell("backfill", "flown", "--airflow", airflow.url, "--yes", *dates)
    assert code == 1
    assert "No period of flown with data starts between 2062-06-01 and 2062-06-30." in printed
    assert airflow.begun() == []


def test_of_two_dags_each_has_a_backfill_of_its_own(
    shell: Shell, airflow: BackfillingApi, flown: Flown
) -> None:
    file = flown.root / "dags" / "fresh.py"
    text = FRESH.format(zone="America/New_York").replace("2013-03-04", "2013-03-01")
    file.write_text(text + MONTHLY.replace("flown", "fresh"))
    for dag_id in ("fresh_weekly", "fresh_monthly"):
        airflow.deploy(file, dag_id)
    command = ["backfill", "fresh", "--airflow", airflow.url, "--yes", "--from"]
    code, printed = shell(*command, "2013-03-01", "--to", "2013-03-31")
    assert code == 0, printed
    assert airflow.begun() == [ALL_WEEKS, ("2013-03-01",)]
    assert "fresh_weekly: started backfill 1 (4 periods)." in printed
    assert "fresh_monthly: started backfill 2 (1 period)." in printed
    # Nothing is published yet, which would tell the price.
    assert printed.count("queries: unknown until the first period is published\n") == 2

    airflow.backfills.clear()
    code, printed = shell(*command, "2013-03-04", "--to", "2013-03-31")
    assert code == 0, printed
    assert "fresh_monthly: 0 of 0 periods to run" in printed
    assert airflow.begun()[2:] == [ALL_WEEKS]


@pytest.mark.parametrize(
    ("declared", "at_once", "said"),
    [
        (
            'change("rows", within=0.5, severity="warn")',
            1,
            "  one at a time, in order, because these checks compare with the previous period:"
            " change(rows, within=0.5, against=previous_period)\n",
        ),
        ('change("rows", within=0.5, against="previous_version")', 10, ""),
    ],
    ids=["previous_period", "previous_version"],
)
def test_one_run_at_a_time_is_asked_for_where_runs_compare_with_the_period_before(
    declared: str, at_once: int, said: str, shell: Shell, airflow: BackfillingApi, flown: Flown
) -> None:
    """Else a week whose week before is published at the same time has nothing to compare with."""
    file = flown.root / "dags" / "fresh.py"
    text = FRESH.format(zone="America/New_York").replace("import Input", "import checks, Input")
    file.write_text(text.replace("    since=", f"    checks=[checks.{declared}],\n    since="))
    airflow.deploy(file, "fresh_weekly")
    code, printed = shell(
        *("backfill", "fresh", "--airflow", airflow.url, "--yes"),
        *("--from", "2013-03-04", "--to", "2013-03-31"),
    )
    assert code == 0, printed
    (body,) = [body for request, body in airflow.requests if request == BEGIN]
    assert BackfillPostBody.model_validate(body).max_active_runs == at_once
    assert ("one at a time" in printed) == (said != "")
    assert said in printed


def test_it_waits_for_the_runs_and_fails_if_one_of_them_does(
    shell: Shell, airflow: BackfillingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = airflow.answer
    looks = [["queued", "queued"], ["success", "running"], ["success", "success"]]

    def answer_runs(method: str, path: str, body: Any, authorization: str | None) -> Any:
        if path.partition("?")[0].endswith("/taskInstances"):
            return HTTPStatus.OK, {"task_instances": [], "total_entries": 0}
        if not path.startswith(f"/api/v2/dags/{DAG_ID}/dagRuns?"):
            return answer(method, path, body, authorization)
        states = looks.pop(0)
        runs = [
            run_of(week, state, DAG_ID)
            | {"logical_date": datetime.fromisoformat(week).replace(tzinfo=NEW_YORK).isoformat()}
            for week, state in zip(WEEKS, states, strict=False)
        ]
        return HTTPStatus.OK, {"dag_runs": runs, "total_entries": len(runs)}

    monkeypatch.setattr(airflow, "answer", answer_runs)
    dates = ("--from", "2013-03-04", "--to", "2013-03-11")
    code, printed = backfill(shell, airflow, *dates, "--wait")
    assert code == 0, printed
    counts = ["2 queued", "1 success, 1 running", "2 success"]
    assert [line.rpartition(f"{DAG_ID}: ")[2] for line in printed.splitlines()[-3:]] == counts
    airflow.backfills.clear()
    looks.append(["failed", "success"])
    code, printed = backfill(shell, airflow, *dates, "--wait")
    assert code == 1
    assert "Run 2013-03-04 of flown_weekly is failed." in printed
