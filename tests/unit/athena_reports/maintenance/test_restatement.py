from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from airflow.sdk import DAG

from athena_reports.maintenance.restatement import (
    AthenaRestatementsOperator,
    Restatement,
    find_restatements,
)
from athena_reports.periods.calendar import Cadence, quarterly, yearly
from athena_reports.publication.glue_table import Partition, Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import PartitionFacts, Reading
from athena_reports.rows.columns import TableColumn
from tests.support.airflow_run import TaskInstance
from tests.support.calendars import UTC_WEEKS
from tests.support.partition_facts import facts

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

DAY = timedelta(days=1)
FIRST, SECOND, THIRD = "2025-06-01", "2025-06-08", "2025-06-15"
LATER = datetime(2026, 1, 1, tzinfo=UTC)


def partition(
    period_id: str,
    *,
    restated: timedelta | None = None,
    submitted: timedelta = DAY / 24,
    cadence: Cadence = UTC_WEEKS,
    **changes: Any,
) -> PartitionFacts:
    """The partition of a period that was reported some time after its end.

    Its events may arrive a day late.
    """
    period = cadence.period(period_id)

    def after(delay: timedelta) -> str:
        return (period.end_utc + delay).isoformat(timespec="milliseconds")

    readings = [Reading(digest="first rows", since=after(DAY / 24))]
    if restated is not None:
        readings.insert(0, Reading(digest="other rows", since=after(restated)))
    usual = {
        "submitted_at": after(submitted),
        "settles_at": (period.end_utc + DAY).isoformat(),
        "provisional": submitted < DAY,
        "readings": tuple(readings),
        "reads_previous": True,
    }
    return facts(period, **usual | changes)


def found(
    partitions: dict[str, PartitionFacts], now: datetime = LATER, *, stale: bool = False
) -> list[Restatement]:
    return find_restatements("plays_weekly", partitions, lambda _: {}, now, with_stale=stale)


RESTATED_FIRST = {FIRST: partition(FIRST, submitted=20 * DAY, restated=20 * DAY)}


@pytest.mark.parametrize(
    ("after", "due"), [(DAY - timedelta(seconds=1), False), (DAY, True), (9 * DAY, True)]
)
def test_a_provisional_period_is_due_when_its_late_events_have_arrived(
    after: timedelta, due: bool
) -> None:
    now = UTC_WEEKS.period(FIRST).end_utc + after
    reasons = [each.reason for each in found({FIRST: partition(FIRST)}, now)]
    assert reasons == ["late events have arrived"] * due
    assert found({FIRST: partition(FIRST, submitted=2 * DAY)}, now, stale=True) == []


@pytest.mark.parametrize(
    ("options", "stale"),
    [
        ({"submitted": 2 * DAY}, True),
        ({"submitted": 30 * DAY}, False),
        # Reported again together with it.
        ({"submitted": 13 * DAY - timedelta(seconds=0.4)}, False),
        ({"submitted": 13 * DAY - timedelta(minutes=1)}, False),
        ({"submitted": 13 * DAY - timedelta(minutes=1, milliseconds=1)}, True),
        ({"submitted": 2 * DAY, "reads_previous": False}, False),
    ],
)
def test_a_period_is_stale_if_the_one_before_was_restated_after_it_was_read(
    options: dict[str, Any], stale: bool
) -> None:
    partitions = RESTATED_FIRST | {
        SECOND: partition(SECOND, **options),
        THIRD: partition(THIRD, submitted=2 * DAY),
    }
    told = [(each.period_id, each.reason) for each in found(partitions, stale=True)]
    assert told == [(SECOND, "the previous period was restated")] * stale
    assert found(partitions) == []


@pytest.mark.parametrize(
    ("readings", "stale"),
    [
        ([(1, "a")], False),
        ([(1, "a"), (12, "b")], True),
        ([(1, "a"), (5, "b")], False),  # before it was read
        ([(1, "a"), (12, "b"), (13, "a")], False),  # and back again
        ([(1, "a"), (12, "b"), (13, "c")], True),
        ([(1, "a"), (5, "b"), (12, "a"), (13, "b")], False),
        ([(1, "a"), (5, "b"), (12, "a")], True),
        ([(12, "a")], False),  # the later period was published first
        ([(12, "a"), (13, "b")], True),
    ],
)
def test_a_period_is_stale_only_if_what_it_has_read_is_not_what_is_there_now(
    readings: list[tuple[int, str]], stale: bool
) -> None:
    """The first week is published again and again, some days after its end; the second one once,
    nine days after that.
    """
    end = UTC_WEEKS.period(FIRST).end_utc
    latest_first = tuple(
        Reading(digest=read, since=(end + day * DAY).isoformat(timespec="milliseconds"))
        for day, read in reversed(readings)
    )
    partitions = {
        FIRST: partition(FIRST, submitted=20 * DAY, readings=latest_first),
        SECOND: partition(SECOND, submitted=2 * DAY),
    }
    assert [each.period_id for each in found(partitions, stale=True)] == [SECOND] * stale


@pytest.mark.parametrize("reason", ["late events", "stale"])
def test_a_restatement_that_failed_is_tried_again_once_a_day(reason: str) -> None:
    partitions, due = {FIRST: partition(FIRST)}, UTC_WEEKS.period(FIRST).end_utc + DAY
    if reason == "stale":
        # Not whole days after its events had arrived, from which its days do not count.
        partitions = RESTATED_FIRST | {SECOND: partition(SECOND, submitted=2.5 * DAY)}
        due = UTC_WEEKS.period(SECOND).end_utc + 2.5 * DAY

    def run_id(after: timedelta) -> str:
        (each,) = found(partitions, due + after, stale=True)
        return str(each.to_trigger()["trigger_run_id"])

    ids = [{run_id(day * DAY + DAY / 48 * look) for look in range(48)} for day in range(4)]
    assert [len(of_day) for of_day in ids] == [1, 1, 1, 1]
    assert len(set.union(*ids)) == 4


def test_what_was_restated_and_is_stale_once_more_has_runs_of_its_own() -> None:
    """Airflow skips the run of an id that it has."""
    now = UTC_WEEKS.period(SECOND).end_utc + 6 * DAY
    ids = []
    for submitted in (2 * DAY, 4 * DAY):
        partitions = {
            FIRST: partition(FIRST, restated=submitted + 8 * DAY),
            SECOND: partition(SECOND, submitted=submitted),
        }
        (each,) = [each for each in found(partitions, now, stale=True) if each.period_id == SECOND]
        ids.append(set(each.run_ids))
    assert ids[0].isdisjoint(ids[1])


def test_a_stale_period_whose_own_late_events_may_still_land_is_restated_all_the_same() -> None:
    now = UTC_WEEKS.period(SECOND).end_utc + 18 * DAY / 24
    restated = partition(FIRST, restated=now - UTC_WEEKS.period(FIRST).end_utc)
    partitions = {FIRST: restated, SECOND: partition(SECOND)}
    by_period = {each.period_id: each for each in found(partitions, now, stale=True)}
    of_second = by_period[SECOND]
    assert of_second.run_ids == [of_second.to_trigger()["trigger_run_id"]]


Publish = Callable[..., None]
Triggers = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def publish(glue: GlueClient, database: str, bucket: str) -> Publish:
    """Puts provisional periods into the table of a report."""

    def publish(report: str, cadence: Cadence, *period_ids: str, **options: Any) -> None:
        table = Table(database, ReportLocation.of(bucket, report, cadence), glue)
        columns = [TableColumn(name="rank", type="BIGINT", glue="bigint")]
        for period_id in period_ids:
            of_period = partition(period_id, cadence=cadence, **options)
            table.put_partition(period_id, columns, Partition("s3://bucket/x/", of_period))

    return publish


@pytest.fixture
def triggers(database: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Triggers:
    """Runs the task at `LATER`, and returns the DAG and the period of each run that it triggers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    with DAG("restatement", schedule=None):
        task = AthenaRestatementsOperator(task_id="find", database=database)

    def triggers(ti: TaskInstance, *, stale: bool = False) -> list[tuple[str, str]]:
        context: Any = {"params": {"stale": stale}, "ti": ti}
        with time_machine.travel(LATER):
            triggered = task.execute(context)
        return [(each["trigger_dag_id"], each["conf"]["period"]) for each in triggered]

    return triggers


def test_the_periods_of_all_reports_come_in_the_order_in_which_they_start(
    publish: Publish, triggers: Triggers
) -> None:
    """By their ids a quarter would come after all days of its year."""
    publish("plays", UTC_WEEKS, THIRD, FIRST, SECOND)
    publish("sales", quarterly(), "2025-Q2", "2025-Q3")

    assert triggers(TaskInstance()) == [
        ("sales_quarterly", "2025-Q2"),
        ("plays_weekly", FIRST),
        ("plays_weekly", SECOND),
        ("plays_weekly", THIRD),
        ("sales_quarterly", "2025-Q3"),
    ]


def test_periods_of_more_than_two_years_ago_are_restated_only_with_stale_ones(
    publish: Publish, triggers: Triggers
) -> None:
    publish("plays", UTC_WEEKS, "2023-12-31", "2024-01-07")
    publish("sales", yearly(), "2023", "2024")
    recent = [("sales_yearly", "2024"), ("plays_weekly", "2024-01-07")]
    assert triggers(TaskInstance()) == recent
    old = [("sales_yearly", "2023"), ("plays_weekly", "2023-12-31")]
    assert triggers(TaskInstance(), stale=True) == [*old, *recent]


def test_stale_periods_are_triggered_if_somebody_asks_for_them(
    publish: Publish, triggers: Triggers
) -> None:
    publish("plays", UTC_WEEKS, FIRST, submitted=20 * DAY, restated=20 * DAY)
    publish("plays", UTC_WEEKS, SECOND, submitted=2 * DAY)
    assert triggers(TaskInstance()) == []
    assert triggers(TaskInstance(), stale=True) == [("plays_weekly", SECOND)]


def test_as_many_are_triggered_as_airflow_maps_and_none_with_an_active_run(
    glue: GlueClient,
    database: str,
    publish: Publish,
    triggers: Triggers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    for report in ("plays", "flights"):
        publish(report, UTC_WEEKS, THIRD, FIRST, SECOND)
    glue.create_table(DatabaseName=database, TableInput={"Name": "foreign_weekly"})
    ti = TaskInstance()

    assert [period_id for _, period_id in triggers(ti)] == [FIRST, FIRST, SECOND]
    assert (
        "Airflow maps at most 3 tasks; 3 later periods wait for the next run."
        in capsys.readouterr().out
    )
    # The run that some day has begun for one of them has not ended, as in a paused DAG:
    # no second one is added to it.
    (of_plays,) = found({FIRST: partition(FIRST)})
    for day in (0, 49, 50, 120, -1):
        ti.active_runs = {("plays_weekly", of_plays.run_ids[day])}
        assert sorted(triggers(ti)) == [
            ("flights_weekly", FIRST),
            ("flights_weekly", SECOND),
            ("plays_weekly", SECOND),
        ]
        # The one that has a run is not counted among those that wait.
        told = capsys.readouterr().out
        assert "Airflow maps at most 3 tasks; 2 later periods wait for the next run." in told
    assert max(len(question["run_ids"]) for question in ti.asked) <= 50


def test_the_parts_of_a_period_are_triggered_before_it(
    publish: Publish, triggers: Triggers, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"plays_weekly": {FIRST: "v1"}, "gone_weekly": {FIRST: "v1"}}
    publish("sums", UTC_WEEKS, FIRST, parts=parts)
    publish("plays", UTC_WEEKS, FIRST)
    assert triggers(TaskInstance()) == [("plays_weekly", FIRST)]
    assert (
        f"sums_weekly, period {FIRST}: late events have arrived, but these parts are not final yet:"
        f" plays_weekly {FIRST}"
    ) in capsys.readouterr().out
    publish("plays", UTC_WEEKS, FIRST, provisional="false")
    assert triggers(TaskInstance()) == [("sums_weekly", FIRST)]


def test_what_is_published_of_reports_that_nobody_reads_is_not_kept_in_memory(
    publish: Publish, triggers: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred reports of three years take half a gigabyte."""

    class Published(dict[str, PartitionFacts]):
        """Of one table; other than a dict it can be watched."""

    made: list[weakref.ref[Published]] = []
    counts = []
    published_periods = Table.published_periods

    def watched(table: Table, *first_id: str) -> Published:
        published = Published(published_periods(table, *first_id))
        made.append(weakref.ref(published))
        counts.append(sum(each() is not None for each in made))
        return published

    monkeypatch.setattr(Table, "published_periods", watched)
    for number in range(5):
        publish(f"plays{number}", UTC_WEEKS, FIRST)
    assert len(triggers(TaskInstance())) == len(counts) == 5
    assert max(counts) <= 2, "the one before is replaced by the next one"


# --- periods that read other reports

NOW = LATER


def reading(version: str, *, settled: bool = True, **parts: dict[str, str]) -> PartitionFacts:
    """A period that has read some parts, by table and period id, in some versions."""
    submitted = 2 * DAY if settled else DAY / 24
    return partition(FIRST, submitted=submitted, version=version, parts=parts, reads_previous=False)


PublishedReports = Mapping[str, Mapping[str, PartitionFacts]]


def restated(reports: PublishedReports, *, stale: bool = True) -> dict[str, str]:
    """Which DAGs have a period to restate, and why."""

    def published_of(table: str) -> Mapping[str, PartitionFacts]:
        return reports.get(table, {})

    found = {}
    for dag_id, partitions in reports.items():
        for each in find_restatements(dag_id, partitions, published_of, NOW, with_stale=stale):
            if not each.open_parts:
                found[dag_id] = each.reason
    return found


def test_what_a_restated_part_makes_stale_is_restated_level_by_level() -> None:
    day = reading("d2")  # a month has read it as d1
    month = reading("m1", days_daily={FIRST: "d1"})
    quarter = reading("q1", months_monthly={FIRST: "m1"})
    reports = {
        "days_daily": {FIRST: day},
        "months_monthly": {FIRST: month},
        "quarters_quarterly": {FIRST: quarter},
    }
    why = "periods that it read were restated: "
    assert restated(reports) == {"months_monthly": f"{why}days_daily {FIRST}"}
    assert restated(reports, stale=False) == {}

    reports["months_monthly"] = {FIRST: reading("m2", days_daily={FIRST: "d2"})}
    assert restated(reports) == {"quarters_quarterly": f"{why}months_monthly {FIRST}"}
    reports["quarters_quarterly"] = {FIRST: reading("q2", months_monthly={FIRST: "m2"})}
    assert restated(reports) == {}


def test_what_is_provisional_waits_for_its_stale_parts_only_if_these_are_restated_too() -> None:
    why = "late events have arrived"
    quarter = reading("q1", settled=False, months_monthly={FIRST: "m1"})
    reports = {
        "days_daily": {FIRST: reading("d2")},
        "months_monthly": {FIRST: reading("m1", days_daily={FIRST: "d1"})},
        "quarters_quarterly": {FIRST: quarter},
    }
    assert list(restated(reports)) == ["months_monthly"]
    assert restated(reports, stale=False) == {"quarters_quarterly": why}

    # The same of a part that is stale because the one before it was restated.
    weeks = RESTATED_FIRST | {SECOND: partition(SECOND, submitted=2 * DAY)}
    month = reading("m1", settled=False, weeks_weekly={SECOND: weeks[SECOND].version})
    of_weeks = {"weeks_weekly": weeks, "months_monthly": {FIRST: month}}
    assert list(restated(of_weeks)) == ["weeks_weekly"]
    assert restated(of_weeks, stale=False) == {"months_monthly": why}


@pytest.mark.parametrize("stale", [True, False])
def test_a_provisional_part_is_reported_again_before_what_reads_it(stale: bool) -> None:
    month = reading("m1", settled=False, days_daily={FIRST: "d1"})
    reports = {
        "days_daily": {FIRST: reading("d1", settled=False)},
        "months_monthly": {FIRST: month},
    }
    assert restated(reports, stale=stale) == {"days_daily": "late events have arrived"}
    reports["days_daily"] = {FIRST: reading("d1")}  # with the rows that it had
    assert restated(reports, stale=stale) == {"months_monthly": "late events have arrived"}


def test_a_part_that_is_withdrawn_makes_nothing_stale() -> None:
    month = reading("m1", days_daily={FIRST: "d1", SECOND: "d1"})
    reports = {"days_daily": {FIRST: reading("d1")}, "months_monthly": {FIRST: month}}
    assert restated(reports) == {}
    assert restated({"months_monthly": {FIRST: month}}) == {}
