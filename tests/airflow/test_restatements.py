"""Late events in a real Airflow: what was published provisionally is reported again,
and nothing else is.

Other DAGs start for what is published, and for nothing else. Some of them are read before the
report, one after it. The report waits so long for late events that one of its weeks settles while
the test runs. Its weeks are over for some time, and it ends with them: a week that ends meanwhile
is none of its weeks.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from athena_reports_cli.local.client import AirflowApiError
from athena_reports_cli.local.services import Services, local_services
from demo.lake import land_late_plays, seed_plays
from demo.plays import PlaysSpec, generate
from tests.airflow.backfilled import BUCKET, Backfilled, Rows
from tests.airflow.report_run import cells_on_the_page, now, until
from tests.support.dates import TOKYO, Period, sunday_of, weeks
from tests.support.examples import consumers_dag_file
from tests.support.partition_facts import alter_partition, an_hour_before
from tests.support.published import facts_in, partitions_of, read_json, rows_of
from tests.support.reports import DAGS, Play, plays_of, top_users

if TYPE_CHECKING:
    from pathlib import Path

    from athena_reports_cli.local.client import DagRun
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

DAG_ID = "top_users_weekly"
RESTATEMENT = "athena_reports_restatement"
CONSUMERS = ("after_publications", "after_each_week", "after_all_weeks_of_a_month")
LATE_CONSUMER = "late_after_publications"
LATEST = f"s3://{BUCKET}/top_users/weekly/latest.json"
DAY = dt.timedelta(days=1)
# At least; until then a week is published, and it is seen that nothing is restated.
SETTLES_AFTER = dt.timedelta(seconds=60)
TOP = 100

_T = TypeVar("_T")


# The last one has been over for more than a week: the schedule, which has no catch-up, runs none.
WEEKS = weeks(sunday_of(dt.datetime.now(TOKYO)) - 7 * DAY * 6, 4, TOKYO)
BEFORE, LATE, AFTER, LAST = WEEKS


@dataclass
class Lake:
    """Plays around the weeks, and those that landed late."""

    services: Services
    plays: list[Play] = field(default_factory=list)  # as the report should see them by now

    def fill(self) -> None:
        first, end = BEFORE.previous - 2 * DAY, LAST.end + 40 * DAY
        spec = PlaysSpec(first, end, events=50 * (end - first).days, users=300)
        seed_plays(self.services, "dev", spec)
        self.plays = list(plays_of(table for _, table in generate(spec)))

    def land(self, week: Period, scores: Sequence[int], landed: dt.date) -> None:
        """Let plays of the middle of a week land in a partition of a later day."""
        played_at = week.midnight(week.first + 3 * DAY)
        land_late_plays(self.services, "dev", landed, played_at, scores)
        as_stored = played_at.astimezone(dt.UTC).replace(tzinfo=None)
        self.plays += [Play("u999999", score, as_stored) for score in scores]

    def ranking(self, week: Period) -> Rows:
        """What the report must say of a week by now."""
        return top_users(
            self.plays,
            *(week.midnight(day) for day in (week.first, week.end, week.previous)),
            top=TOP,
        )


@dataclass
class Reports:
    """The report, its published weeks, and the DAG that restates them."""

    weekly: Backfilled
    settles_at: dt.datetime  # when the late events of the second week have landed
    latest: list[Mapping[str, Any]] = field(default_factory=list)  # each `latest.json`, in turn

    @property
    def airflow(self) -> LiveAirflow:
        return self.weekly.airflow

    def until(self, happened: Callable[[], _T | None], what: str, *, seconds: float = 120) -> _T:
        """Wait, with an eye on `latest.json`."""

        def look() -> _T | None:
            self.airflow.check_alive()
            self.look_at_latest()
            return happened()

        return until(look, what, seconds=seconds)

    def look_at_latest(self) -> None:
        latest = read_json(self.weekly.services.s3, LATEST)
        if latest not in self.latest[-1:]:
            self.latest.append(latest)

    def manifest(self, week: Period) -> Mapping[str, Any]:
        manifest = self.weekly.manifest(week)
        assert manifest is not None, week.id
        return manifest

    def versions(self) -> list[int]:
        """How many versions each week has had."""
        return [1 + len(self.manifest(week)["earlier_versions"]) for week in WEEKS]

    def assert_right(self, lake: Lake, weeks: Sequence[Period]) -> None:
        """What is published of each week is what the raw data say by now."""
        for week in weeks:
            manifest = self.manifest(week)
            for format in ("parquet", "csv"):
                assert rows_of(lake.services.s3, manifest, format) == lake.ranking(week), (
                    week.id,
                    format,
                )

    def partition(self, week: Period) -> Mapping[str, Any]:
        return partitions_of(self.weekly.services.glue, "report_dev", DAG_ID)[week.id]

    def age(self, week: Period) -> None:
        """Let the query of a week be an hour older: queries of one minute count as run together."""
        submitted_at = facts_in(self.partition(week))["query"]["submitted_at"]
        alter_partition(
            self.weekly.services.glue,
            "report_dev",
            DAG_ID,
            week.id,
            submitted_at=an_hour_before(submitted_at),
        )

    def runs(self) -> list[DagRun]:
        """All runs of the report, in the order in which they were created."""
        return sorted(self.airflow.client.runs(DAG_ID), key=lambda run: run.run_after)

    def restatements(self) -> list[DagRun]:
        """The runs of the report that the other DAG has triggered, in order."""
        return [run for run in self.runs() if run.run_id.startswith("restatement__")]

    def restate(self, *, stale: bool) -> list[dict[str, Any]]:
        """Run the other DAG by hand, wait for what it triggers, and return that."""
        client = self.airflow.client
        run = client.trigger(RESTATEMENT, conf={"stale": stale} if stale else {})
        triggers = self.found(run.run_id)
        self.until(lambda: all(run.finished for run in self.runs()), "the runs have ended")
        return triggers

    def found(self, run_id: str) -> list[dict[str, Any]]:
        """Wait for a run of the other DAG, and return what it has found."""
        client = self.airflow.client

        def over() -> bool:
            return client.run(RESTATEMENT, run_id).finished

        self.until(over, f"{run_id} of {RESTATEMENT} has ended")
        tasks = client.task_instances(RESTATEMENT, run_id)
        assert client.run(RESTATEMENT, run_id).state == "success", tasks
        triggers: list[dict[str, Any]] = client.xcom(RESTATEMENT, run_id, "find")
        return triggers

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """The events of the report's assets. The API answers 500 while a run of them is queued."""

        def look() -> list[dict[str, Any]] | None:
            try:
                return self.airflow.client.request("GET", "/api/v2/assets/events", params=query)[
                    "asset_events"
                ]
            except AirflowApiError as refusal:
                if refusal.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                return None

        query = {"source_dag_id": DAG_ID} | filters
        return self.until(look, "the events are listed")

    def seen_by(self, consumer: str) -> tuple[list[str | None], Counter[str]]:
        """What the runs of a consumer were for, and the periods of the events that they saw,
        once all have ended.
        """
        client = self.airflow.client
        self.until(
            lambda: all(run.finished for run in client.runs(consumer)), f"{consumer} has ended"
        )
        seen = [client.xcom(consumer, run.run_id, "published") for run in client.runs(consumer)]
        return [each["run_for"] for each in seen], Counter(
            id for each in seen for id in each["periods"]
        )

    def stale(self) -> list[str]:
        """The weeks that the Reports page lists as stale."""
        cells = cells_on_the_page(self.airflow, DAG_ID)
        return [cell["id"] for cell in cells if "stale" in cell["states"]]

    def wait_until_stale(self, weeks: Sequence[Period]) -> None:
        """Wait until the page, which keeps what it has read for some seconds, lists just these."""
        ids = [week.id for week in weeks]
        self.until(lambda: self.stale() == ids, f"the page lists {ids} as stale", seconds=20)


def write_report(folder: Path, late_by: dt.timedelta) -> None:
    """Put the report into a folder, weekly only, with another lateness, until the last week."""
    text = (DAGS / "top_users.py").read_text().partition("top_users_monthly = ")[0]
    old = "late_by=timedelta(days=1)"
    assert text.count(old) == 1
    seconds = f"{late_by.total_seconds():.0f}"
    text = text.replace(old, f'until="{LAST.id}", late_by=timedelta(seconds={seconds})')
    (folder / "top_users.py").write_text(text)


def write_restatement(folder: Path) -> None:
    """Put a DAG for restatements with a short pause into a folder."""
    lines = ["from datetime import timedelta", "from athena_reports import build_restatement"]
    lines += ["dag = build_restatement(timedelta(seconds=20))  # a DAG of Airflow"]
    (folder / "restatement.py").write_text("\n".join(lines))


def write_consumers(folder: Path) -> None:
    """Put the consumers that the page shows into a folder;
    instead of for months they run for other weeks.
    """
    months = 'monthly("Asia/Tokyo")'
    assert consumers_dag_file().count(months) == 1
    (folder / "consumers.py").write_text(
        consumers_dag_file().replace(months, 'weekly("monday", "Asia/Tokyo")')
    )


def write_late_consumer(folder: Path) -> None:
    """Put one of them into a folder once more, under another name."""
    begin, _, end = consumers_dag_file().partition('with DAG("after_publications"')
    (folder / "late.py").write_text(
        f'{begin}with DAG("{LATE_CONSUMER}"{end.partition("with DAG")[0]}'
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as services:
        services.prepare("dev")
        lake = Lake(services)
        lake.fill()
        yield lake


@pytest.fixture(scope="module")
def reports(
    start_airflow: StartAirflow, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> Reports:
    """All four weeks, published; the late events of the second one will all have landed soon."""
    dags = tmp_path_factory.mktemp("dags")
    write_restatement(dags)
    write_consumers(dags)
    airflow = start_airflow(
        dags,
        dag_ids=[RESTATEMENT, *CONSUMERS],
        services=lake.services,
        environment={
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        },
    )
    late_end = LATE.midnight(LATE.end)
    write_report(dags, now() + DAY - late_end)
    airflow.wait_until_parsed([DAG_ID])
    write_late_consumer(dags)
    weekly = Backfilled(airflow, lake.services, "top_users", "weekly", lake.ranking)
    begun = now()
    weekly.begin(WEEKS)
    weekly.wait_until_success(WEEKS)

    # Twice what this machine takes for four runs is time enough for one, and for a look at it.
    settles_at = now() + max(2 * (now() - begun), SETTLES_AFTER)
    write_report(dags, settles_at - late_end)
    (run,) = weekly.runs([LATE])
    airflow.client.clear(DAG_ID, run.run_id)
    weekly.wait_until_success([LATE])
    reports = Reports(weekly, settles_at)
    reports.look_at_latest()
    return reports


def test_late_events_are_reported_until_all_is_at_rest(reports: Reports, lake: Lake) -> None:
    """One story: each step begins with what the one before has left."""
    nothing_is_restated_while_events_may_still_land(reports, lake)
    a_provisional_week_is_restated_by_itself_once_its_late_events_have_landed(reports, lake)
    the_week_after_it_is_stale_and_restated_on_demand(reports, lake)
    stale_weeks_are_restated_in_the_order_of_their_periods(reports, lake)
    the_restatement_comes_to_rest(reports, lake)
    consumers_have_seen_one_event_for_each_version(reports)


def nothing_is_restated_while_events_may_still_land(reports: Reports, lake: Lake) -> None:
    assert [reports.manifest(week)["provisional"] for week in WEEKS] == [False, True, True, True]
    reports.weekly.assert_right(WEEKS)

    assert reports.restate(stale=True) == []

    assert len(reports.runs()) == len(WEEKS)
    reports.wait_until_stale([])


def a_provisional_week_is_restated_by_itself_once_its_late_events_have_landed(
    reports: Reports, lake: Lake
) -> None:
    before, published = lake.ranking(LATE), reports.manifest(LATE)
    # Amid the others: who comes behind is a rank lower, here and as the week after it remembers.
    lake.land(LATE, [before[49]["score"], 1], landed=LATE.end + 4 * DAY)

    reports.until(lambda: reports.restatements(), "a run is triggered", seconds=180)
    reports.until(lambda: all(run.finished for run in reports.runs()), "it has ended")

    (run,) = reports.restatements()
    assert (run.state, run.conf) == ("success", {"period": LATE.id})
    assert run.start_date is not None
    assert run.start_date >= reports.settles_at
    reports.assert_right(lake, [BEFORE, LATE, LAST])
    assert reports.versions() == [1, 2, 1, 1]

    manifest = reports.manifest(LATE)
    (earlier,) = manifest["earlier_versions"]
    assert earlier["difference"]["changed"] > 1
    assert earlier["difference"] == difference(before, lake.ranking(LATE))
    assert (earlier["version"], earlier["provisional"]) == (published["version"], True)
    assert (manifest["provisional"], manifest["run"]["run_id"]) == (False, run.run_id)
    assert (
        manifest["restated_at"]
        == manifest["query"]["submitted_at"]
        > published["query"]["submitted_at"]
    )

    partition = reports.partition(LATE)
    facts = facts_in(partition)
    assert (facts["version"], facts["rows"]) == (manifest["version"], TOP)
    assert len(facts["earlier_versions"]) == 1
    assert (facts["provisional"], facts["run"]["run_id"]) == (False, run.run_id)
    assert f"/versions/{manifest['version']}/" in partition["StorageDescriptor"]["Location"]
    events = reports.events(source_run_id=run.run_id)
    assert [(event["extra"]["outcome"], event["extra"]["version"]) for event in events] == [
        ("published", manifest["version"])
    ] * 2


def the_week_after_it_is_stale_and_restated_on_demand(reports: Reports, lake: Lake) -> None:
    """It reads the week before, for the previous rank."""
    reports.wait_until_stale([AFTER])
    assert reports.manifest(AFTER)["restated_at"] == ""
    query = {"first": BEFORE.id, "last": LAST.id, "state": "stale"}
    plan = reports.airflow.client.request(
        "GET", f"/athena-reports/api/dags/{DAG_ID}/plan", params=query
    )
    assert [start["period"] for start in plan["starts"]] == [AFTER.id]
    assert reports.restate(stale=False) == []

    (trigger,) = reports.restate(stale=True)

    assert trigger["conf"] == {"period": AFTER.id}
    assert reports.versions() == [1, 2, 2, 1]
    reports.assert_right(lake, WEEKS)
    assert reports.manifest(AFTER)["run"]["run_id"] == trigger["trigger_run_id"]
    # The week after that one reads it too: without `movement()` nothing says that a previous rank
    # comes from a still earlier week. Its rows are the same, so nothing is stale any more.
    reports.wait_until_stale([LAST])
    (trigger,) = reports.restate(stale=True)
    assert trigger["conf"] == {"period": LAST.id}
    assert reports.versions() == [1, 2, 2, 1]
    reports.wait_until_stale([])


def stale_weeks_are_restated_in_the_order_of_their_periods(reports: Reports, lake: Lake) -> None:
    """Two weeks are corrected after the fact, the later one first;
    each makes the one after it stale.
    """
    client = reports.airflow.client
    for week, after in ((LATE, AFTER), (BEFORE, LATE)):
        lake.land(week, [200_000], landed=week.end + 2 * DAY)
        client.clear(DAG_ID, reports.manifest(week)["run"]["run_id"])
        reports.until(
            lambda: all(run.finished for run in reports.runs()), "the cleared run has ended"
        )
        reports.age(after)
    reports.wait_until_stale([LATE, AFTER])
    known = {run.run_id for run in reports.runs()}

    triggers = reports.restate(stale=True)

    made = [run for run in reports.runs() if run.run_id not in known]
    assert [run.conf for run in made] == [{"period": LATE.id}, {"period": AFTER.id}]
    assert [trigger["trigger_run_id"] for trigger in triggers] == [run.run_id for run in made]
    assert {run.state for run in made} == {"success"}
    reports.assert_right(lake, WEEKS)
    assert reports.versions() == [2, 4, 3, 1]


def the_restatement_comes_to_rest(reports: Reports, lake: Lake) -> None:
    """What follows a restated week is looked at again once, and then there is nothing to do."""
    for _ in WEEKS:
        if not reports.restate(stale=True):
            break
    runs, published = reports.runs(), [reports.manifest(week) for week in WEEKS]

    assert reports.restate(stale=True) == []
    # Its own schedule goes on meanwhile.
    scheduled = [
        run for run in reports.airflow.client.runs(RESTATEMENT) if run.run_type == "scheduled"
    ]
    assert len(scheduled) > 2
    assert {run.state for run in scheduled if run.finished} == {"success"}

    assert reports.runs() == runs
    assert [reports.manifest(week) for week in WEEKS] == published
    assert reports.versions() == [2, 4, 3, 1]
    reports.assert_right(lake, WEEKS)
    reports.wait_until_stale([])
    periods = [latest["period"]["id"] for latest in reports.latest]
    assert periods == sorted(periods)
    assert periods[-1] == LAST.id


def consumers_have_seen_one_event_for_each_version(reports: Reports) -> None:
    """Some queries found the same rows as the ones before them, and nobody was told."""
    assert len(reports.weekly.queries) > sum(reports.versions())
    versions = Counter(
        {week.id: number for week, number in zip(WEEKS, reports.versions(), strict=True)}
    )
    plain, keyed = (
        [event for event in reports.events() if event["name"] == name]
        for name in (DAG_ID, f"{DAG_ID}_periods")
    )
    for events in (plain, keyed):
        assert Counter(event["extra"]["period"]["id"] for event in events) == versions
    assert Counter(event["partition_key"] for event in keyed) == versions

    assert reports.seen_by("after_publications")[1] == versions
    run_for, seen = reports.seen_by("after_each_week")
    assert Counter(run_for) == seen == versions
    run_for, seen = reports.seen_by("after_all_weeks_of_a_month")
    # Two of the weeks make one of theirs.
    assert set(run_for) == {(week.first + DAY).isoformat() for week in WEEKS[:-1]}
    _, seen = reports.seen_by(LATE_CONSUMER)
    assert seen
    assert seen <= versions


def difference(before: Rows, after: Rows) -> dict[str, int]:
    """How many users came, went, and have another row."""
    old = {row["user_id"]: row for row in before}
    new = {row["user_id"]: row for row in after}
    return {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "changed": sum(old[user] != new[user] for user in old.keys() & new.keys()),
    }
