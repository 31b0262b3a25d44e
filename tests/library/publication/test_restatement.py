from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.sdk import DAG

from athena_reports.periods.calendar import weekly
from athena_reports.publication.glue_table import Partition, Table
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.publication.restatement import AthenaRestatementsOperator, Restatement, find_restatements
from athena_reports.rows.columns import Column

WEEKS = weekly("sunday")


@dataclass
class Runs:
    """What Airflow answers a task about runs."""

    unfinished: set[tuple[str, str]] = field(default_factory=set)
    most_asked_at_once: int = 0

    def get_dr_count(self, *, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert states == ["queued", "running"]
        self.most_asked_at_once = max(self.most_asked_at_once, len(run_ids))
        return len(self.unfinished & {(dag_id, run_id) for run_id in run_ids})


DAY = timedelta(days=1)


def parameters(
    period_id: str, *, restated: timedelta | None = None, submitted: timedelta = DAY / 24, **facts: str
) -> dict[str, str]:
    """Parameters of a week that was reported some time after its end; its events may arrive a day late."""
    period = WEEKS.period(period_id)
    return {
        **dict.fromkeys(PartitionFacts.model_fields, "0"),
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "submitted_at": (period.end_utc + submitted).isoformat(timespec="milliseconds"),
        "settles_at": (period.end_utc + DAY).isoformat(),
        "provisional": str(submitted < DAY).lower(),
        "restated_at": "" if restated is None else (period.end_utc + restated).isoformat(timespec="milliseconds"),
        "reads_previous": "true",
        **facts,
    }


def partition(period_id: str, **options: Any) -> PartitionFacts:
    return PartitionFacts.from_parameters(parameters(period_id, **options))


FIRST, SECOND, THIRD = "2025-06-01", "2025-06-08", "2025-06-15"


def found(partitions: dict[str, PartitionFacts], now: datetime, **options: Any) -> list[tuple[str, str]]:
    return [(each.period_id, each.reason) for each in find_restatements("plays_weekly", partitions, now, **options)]


@pytest.mark.parametrize(("after", "due"), [(DAY - timedelta(seconds=1), False), (DAY, True), (9 * DAY, True)])
def test_a_provisional_period_is_due_when_its_late_events_have_arrived(after: timedelta, due: bool) -> None:
    now = WEEKS.period(FIRST).end_utc + after

    restatements = found({FIRST: partition(FIRST)}, now, with_stale=False)
    assert restatements == ([(FIRST, "late events have arrived")] if due else [])


def test_a_settled_period_is_not_due() -> None:
    settled = {FIRST: partition(FIRST, submitted=2 * DAY)}
    assert found(settled, datetime(2026, 1, 1, tzinfo=UTC), with_stale=True) == []


def test_a_period_is_stale_if_the_one_before_was_restated_after_it_was_read() -> None:
    partitions = {
        FIRST: partition(FIRST, submitted=20 * DAY, restated=20 * DAY),
        SECOND: partition(SECOND, submitted=2 * DAY),
        THIRD: partition(THIRD, submitted=2 * DAY),
    }
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert found(partitions, now, with_stale=True) == [(SECOND, "the period before was restated")]
    assert found(partitions, now, with_stale=False) == []
    partitions[SECOND] = partition(SECOND, submitted=30 * DAY)
    assert found(partitions, now, with_stale=True) == []
    partitions[SECOND] = partition(SECOND, submitted=2 * DAY, reads_previous="false")
    assert found(partitions, now, with_stale=True) == []


def test_they_come_in_the_order_of_their_periods() -> None:
    partitions = {period_id: partition(period_id) for period_id in (THIRD, FIRST, SECOND)}

    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [period_id for period_id, _ in found(partitions, now, with_stale=False)] == [FIRST, SECOND, THIRD]


def test_each_version_of_a_period_is_restated_under_an_id_of_its_own() -> None:
    one = Restatement("plays_weekly", FIRST, "late events have arrived", "2025-06-08T00:05:00.000+00:00", 0)
    other = Restatement("plays_weekly", FIRST, "late events have arrived", "2025-06-09T00:05:00.000+00:00", 0)

    assert one.to_trigger()["trigger_run_id"] != other.to_trigger()["trigger_run_id"]
    assert one.to_trigger()["conf"] == {"period": FIRST}
    assert one.to_trigger()["trigger_dag_id"] == "plays_weekly"


@pytest.mark.parametrize("reason", ["late events", "stale"])
def test_a_restatement_that_failed_is_tried_again_once_a_day(reason: str) -> None:
    partitions = {FIRST: partition(FIRST)}
    due = WEEKS.period(FIRST).end_utc + DAY
    if reason == "stale":
        partitions = {
            FIRST: partition(FIRST, submitted=20 * DAY, restated=20 * DAY),
            SECOND: partition(SECOND, submitted=2 * DAY),
        }
        due = WEEKS.period(SECOND).end_utc + 2 * DAY

    def run_id(after: timedelta) -> str:
        (found,) = find_restatements("plays_weekly", partitions, due + after, with_stale=True)
        return str(found.to_trigger()["trigger_run_id"])

    ids = [{run_id(day * DAY + DAY / 48 * look) for look in range(48)} for day in range(4)]
    assert [len(of_day) for of_day in ids] == [1, 1, 1, 1]
    assert len(set.union(*ids)) == 4


def test_a_stale_period_whose_own_late_events_may_still_land_is_restated_all_the_same() -> None:
    partitions = {
        FIRST: partition(FIRST, submitted=8 * DAY, restated=8 * DAY),
        SECOND: partition(SECOND),
    }
    now = WEEKS.period(SECOND).end_utc + 6 * DAY / 24 + DAY / 2
    restated = {"restated_at": now.isoformat(timespec="milliseconds")}
    partitions[FIRST] = partitions[FIRST].model_copy(update=restated)
    (of_second,) = find_restatements("plays_weekly", partitions, now, with_stale=True)
    assert of_second.run_ids == [of_second.to_trigger()["trigger_run_id"]]


def test_every_published_table_is_looked_through(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "restated"})
    columns = [Column(name="rank", type="BIGINT", glue="bigint")]
    for report in ("plays", "flights"):
        table = Table("restated", Location("bucket", report, "weekly", FIRST), glue)
        table.put_partition(FIRST, columns, Partition("s3://bucket/x/", parameters(FIRST)))
    glue.create_table(DatabaseName="restated", TableInput={"Name": "foreign_weekly"})
    with DAG("restatement", schedule=None):
        task = AthenaRestatementsOperator(task_id="find", database="restated")

    airflow = Runs()
    context: Any = {"params": {"stale": False}, "ti": airflow}
    triggers = task.execute(context)
    assert sorted(trigger["trigger_dag_id"] for trigger in triggers) == ["flights_weekly", "plays_weekly"]

    # The first day's run of one of them has not ended, as in a paused DAG: no second one is added to it.
    (of_plays,) = (each for each in triggers if each["trigger_dag_id"] == "plays_weekly")
    first_id = re.sub(r"\d+$", "0", of_plays["trigger_run_id"])
    airflow.unfinished = {("plays_weekly", first_id)}
    assert [trigger["trigger_dag_id"] for trigger in task.execute(context)] == ["flights_weekly"]
    assert airflow.most_asked_at_once <= 50


def test_no_more_are_found_at_once_than_airflow_maps(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oldest first, of all reports; those with an active run do not count."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "many"})
    columns = [Column(name="rank", type="BIGINT", glue="bigint")]
    for report in ("plays", "flights"):
        for period_id in (THIRD, FIRST, SECOND):
            table = Table("many", Location("bucket", report, "weekly", period_id), glue)
            table.put_partition(period_id, columns, Partition("s3://bucket/x/", parameters(period_id)))
    with DAG("restatement", schedule=None):
        task = AthenaRestatementsOperator(task_id="find", database="many")
    airflow = Runs()
    context: Any = {"params": {"stale": False}, "ti": airflow}

    def periods() -> list[tuple[str, str]]:
        return sorted((each["conf"]["period"], each["trigger_dag_id"]) for each in task.execute(context))

    assert [period_id for period_id, _ in periods()] == [FIRST, FIRST, SECOND]
    assert "Airflow maps 3 at once; 3 later periods wait for the next look." in capsys.readouterr().out
    (of_plays,) = find_restatements("plays_weekly", {FIRST: partition(FIRST)}, datetime.now(UTC), with_stale=False)
    airflow.unfinished = {("plays_weekly", of_plays.run_ids[-1])}
    assert periods() == [(FIRST, "flights_weekly"), (SECOND, "flights_weekly"), (SECOND, "plays_weekly")]
