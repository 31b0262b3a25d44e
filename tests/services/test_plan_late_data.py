"""`plan` tells what changes by late data from what changes by the edit,
beside counts in the raw data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from athena_reports_cli.authoring.trial import Aws, TrialRequest, trial
from local_athena.faults import End, Fault, Faults, Refuse
from tests.support.aws_errors import LOST, api_error
from tests.support.dag_files import load_dags
from tests.support.flown import DAG_ID, EDIT, EDITED_DAY, EDITED_WEEK, Flown
from tests.support.reports import carriers
from tests.support.shell import Shell
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
LATE_DAY = "2013-03-15"  # of the same week as the edited one
LAKE = "athena-lake-dev"
PLAN = ("plan", DAG_ID, "--last", "2", "--yes")


def flew(day: str) -> set[str]:
    """The carriers that flew any miles on a day."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    rows = carriers(start, start + timedelta(days=1))
    return {row["carrier"] for row in rows if row["distance"]}


@pytest.fixture
def late(flown: Flown) -> Iterator[None]:
    """The rows of a day arrive once more after its week was published."""
    s3 = flown.services.s3
    folder = f"flights/dt={LATE_DAY}/"
    (stored,) = s3.list_objects_v2(Bucket=LAKE, Prefix=folder)["Contents"]
    key = f"{folder}late.parquet"
    s3.copy_object(Bucket=LAKE, Key=key, CopySource={"Bucket": LAKE, "Key": stored["Key"]})
    yield
    s3.delete_object(Bucket=LAKE, Key=key)


def planned(shell: Shell) -> dict[str, Any]:
    """The week of the edit and of the late data; the other week does not change by them."""
    plan = shell.json(*PLAN)
    (period,) = [period for period in plan["periods"] if period["period"] == EDITED_WEEK]
    return period


def counts(differences: dict[str, Any]) -> tuple[int, int, int]:
    return differences["added"], differences["removed"], differences["changed"]


def new_sql(flown: Flown, before: Collection[str]) -> list[str]:
    """The SQL of the queries that came after those with these ids."""
    return [query["Query"] for id_, query in flown.queries().items() if id_ not in before]


def test_an_edit_alone_is_not_late_data(shell: Shell, flown: Flown) -> None:
    flown.edit(*EDIT)
    separation = planned(shell)["separation"]
    assert counts(separation["late_data"]) == (0, 0, 0)
    assert counts(separation["edit"]) == (0, 0, len(flew(EDITED_DAY)))
    assert separation["scanned_bytes"] > 0
    assert separation["price_usd"] > 0


@pytest.mark.usefixtures("late")
def test_late_data_alone_is_told_without_a_second_query(shell: Shell, flown: Flown) -> None:
    before = len(flown.queries())
    period = planned(shell)
    assert len(flown.queries()) == before + 2  # of two periods
    assert counts(period["separation"]["late_data"]) == (0, 0, len(flew(LATE_DAY)))
    assert counts(period["separation"]["edit"]) == (0, 0, 0)
    assert period["separation"]["scanned_bytes"] == 0


@pytest.mark.usefixtures("late")
def test_late_data_and_an_edit_are_told_apart(shell: Shell, flown: Flown) -> None:
    flown.edit(*EDIT)
    before = len(flown.queries())
    period = planned(shell)
    assert len(flown.queries()) == before + 3  # only where rows change
    separation = period["separation"]
    assert counts(separation["late_data"]) == (0, 0, len(flew(LATE_DAY)))
    assert separation["late_data"]["columns"].keys() == {"flights", "distance"}
    assert counts(separation["edit"]) == (0, 0, len(flew(EDITED_DAY)))
    assert separation["edit"]["columns"].keys() == {"distance"}
    # Late data add flights, and the edit takes miles away.
    assert separation["late_data"]["examples"]
    for change in separation["late_data"]["examples"]:
        old, new = map(int, change["columns"]["flights"])
        assert old < new
    assert separation["edit"]["examples"]
    for change in separation["edit"]["examples"]:
        old, new = map(int, change["columns"]["distance"])
        assert old > new
    assert counts(period["differences"]) == (0, 0, len(flew(EDITED_DAY) | flew(LATE_DAY)))
    assert not period["not_separated"]

    code, printed = shell(*PLAN)
    assert code == 0
    late_row = f"| {EDITED_WEEK} | late data |  | 0 | 0 | {len(flew(LATE_DAY))} | flights"
    assert late_row in printed
    assert f"| {EDITED_WEEK} | the edit |  | 0 | 0 | {len(flew(EDITED_DAY))} | distance" in printed
    assert f"{EDITED_WEEK} by late data, for example:" in printed
    assert f"{EDITED_WEEK} by the edit, for example:" in printed


def test_they_are_told_apart_where_the_published_sql_was_an_unload(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing removes what an UNLOAD of the command would leave."""
    file = flown.root / "dags" / "unloaded.py"
    text = (flown.root / "dags" / "flown.py").read_text()
    text = text.replace('sql="flown.sql",', 'sql="unloaded.sql", unload=True,')
    file.write_text(text.replace('name="flown"', 'name="unloaded"').replace("flown", "unloaded"))
    sql = flown.root / "sql" / "unloaded.sql"
    sql.write_text((flown.root / "sql" / "flown.sql").read_text().replace("ORDER BY carrier\n", ""))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(sql.parent))
    before = flown.queries().keys()
    run_dag(load_dags(file)["unloaded_weekly"], period=EDITED_WEEK)
    (published,) = new_sql(flown, before)
    assert published.startswith("UNLOAD")
    sql.write_text(sql.read_text().replace(*EDIT))
    before = flown.queries().keys()
    (period,) = shell.json("plan", "unloaded_weekly", "--last", "1", "--yes")["periods"]
    assert counts(period["separation"]["late_data"]) == (0, 0, 0)
    assert counts(period["separation"]["edit"]) == (0, 0, len(flew(EDITED_DAY)))
    paid = new_sql(flown, before)
    assert len(paid) == 2
    assert not [statement for statement in paid if statement.startswith("UNLOAD")]


PUBLISHED_SQL = "-- The miles of each carrier"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (End(sql=PUBLISHED_SQL, error_type=1301, category=2), "type 1301"),
        (Refuse(sql=PUBLISHED_SQL, message="No more today"), "No more today"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_published_sql_that_fails_today_is_told_and_the_plan_goes_on(
    fault: Fault, problem: str, shell: Shell, flown: Flown
) -> None:
    flown.edit(*EDIT)
    flown.edit("-- The miles", "-- All miles")
    faults = Faults(flown.services.endpoint_url)
    fault_id = faults.add(fault)
    try:
        period = planned(shell)
    finally:
        faults.clear(fault_id)
    assert period["separation"] is None
    assert problem in period["not_separated"]
    assert counts(period["differences"]) == (0, 0, len(flew(EDITED_DAY)))


@pytest.mark.parametrize("error", [api_error("AccessDeniedException"), LOST], ids=repr)
def test_a_call_for_the_published_sql_that_fails_is_told_and_the_plan_goes_on(
    error: Exception, shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial_of_edited(request: TrialRequest, aws: Aws) -> Any:
        if request.query.query != request.declared.sql(request.period):
            raise error
        return trial(request, aws)

    flown.edit(*EDIT)
    monkeypatch.setattr("athena_reports_cli.authoring.plan.trial", trial_of_edited)
    period = planned(shell)
    assert period["not_separated"] == str(error)
    assert counts(period["differences"]) == (0, 0, len(flew(EDITED_DAY)))


@contextmanager
def other_manifest(flown: Flown, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Within the block, the manifest of the edited week is changed."""
    s3 = flown.services.s3
    place = {"Bucket": "athena-report-dev", "Key": f"flown/weekly/{EDITED_WEEK}/manifest.json"}
    body = s3.get_object(**place)["Body"].read()
    manifest = json.loads(body)
    change(manifest)
    s3.put_object(**place, Body=json.dumps(manifest).encode())
    try:
        yield
    finally:
        s3.put_object(**place, Body=body)


@pytest.fixture
def untold(flown: Flown) -> Iterator[None]:
    """The publication of the edited week does not tell its transforms, as one of an old release."""
    with other_manifest(flown, lambda manifest: manifest.pop("transforms_logic")):
        yield


def test_transforms_whose_logic_is_unknown_are_not_taken_for_the_published_ones(
    shell: Shell, flown: Flown
) -> None:
    """The published SQL with today's transforms would not show what late data changes."""
    flown.edit(*EDIT)
    unknown = {"logic": "unknown", "transforms_logic": "unknown"}
    with other_manifest(flown, lambda manifest: manifest.update(unknown)):
        period = planned(shell)
    assert period["separation"] is None
    assert "Set logic_version= on the report" in period["not_separated"]


@pytest.mark.usefixtures("untold")
def test_transforms_that_the_manifest_does_not_name_are_not_taken_for_todays(
    shell: Shell, flown: Flown
) -> None:
    flown.edit(*EDIT)
    period = planned(shell)
    assert period["separation"] is None
    assert "transforms" in period["not_separated"]
