"""What an earlier version has written, and a project that was written for it, beside today's code.

docs/how-to/upgrade.md promises it. `write_version.py` made what is kept of each version.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from airflow.serialization.serialized_objects import DagSerialization
from jinja2.utils import import_string

import athena_reports
from athena_reports import Cadence, Period, monthly, weekly
from athena_reports.aws.s3 import S3
from athena_reports.page.published_reports import PublishedReports
from athena_reports.page.runs import ReportDag
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports_cli.local.services import Services
from tests.compatibility.kept_version import (
    BUCKET,
    DATABASE,
    VERSIONS,
    KeptVersion,
    remove_published,
)
from tests.compatibility.visits import (
    Visit,
    days_between,
    midnight,
    put_table,
    put_visits,
    ranking,
    remove_table,
    remove_visits,
    visits_on,
)
from tests.compatibility.write_version import commands, imports, outputs_of, settings_of_dev
from tests.support.airflow_run import TaskInstance
from tests.support.airflow_versions import since_3_3
from tests.support.dag_files import load_dags, parse_dags
from tests.support.published import (
    assert_followed,
    facts_in,
    partitions_of,
    read_complete,
    read_json,
)
from tests.support.shell import Shell
from tests.support.task_runner import execute, prepare, run_dag
from tests.support.variables import reaching

CADENCES: dict[str, Cadence] = {
    "page_visits_weekly": weekly("sunday", "Asia/Tokyo"),
    "page_visits_monthly": monthly("Asia/Tokyo"),
    "visits_by_hand": weekly("monday", "UTC"),
}
REPORTS = ("page_visits_weekly", "page_visits_monthly")
WEEKLY = "page_visits_weekly"
NAMES = sorted(folder.name for folder in VERSIONS.iterdir())


@pytest.fixture(scope="module", params=NAMES)
def version(request: pytest.FixtureRequest) -> KeptVersion:
    """A kept version."""
    return KeptVersion(request.param)


@pytest.fixture
def kept(version: KeptVersion, dags_folder: Path, monkeypatch: pytest.MonkeyPatch) -> KeptVersion:
    """A kept version, whose project is that of Airflow."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(version.dags))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(version.sql))
    return version


@pytest.fixture(scope="module")
def visits(version: KeptVersion, running_services: Services) -> Iterator[None]:
    """The table that the reports of the version were counted from.

    All tests of the version have the same one: who adds rows removes them again.
    """
    with reaching(running_services):
        put_table(version.days)
    yield
    with reaching(running_services):
        remove_table()


@pytest.fixture
def restored(kept: KeptVersion, visits: None, services: object) -> Iterator[KeptVersion]:
    """The same, and all that it has published is there."""
    kept.restore()
    yield kept
    remove_published()


@pytest.fixture
def late_visit(restored: KeptVersion) -> Iterator[Visit]:
    """A visit in the last week, which the lake got after the week was published."""
    day = periods_of(restored, WEEKLY)[-1].start_utc.date() + timedelta(days=2)
    visit = Visit("/late", midnight(day))
    put_visits(day, "late", [visit])
    yield visit
    remove_visits(day, "late")


def periods_of(kept: KeptVersion, dag_id: str) -> list[Period]:
    """The periods that the version has published."""
    return [CADENCES[dag_id].period(period_id) for period_id in kept.facts["published"][dag_id]]


def location_of(period: Period, report: str = "page_visits") -> PeriodLocation:
    return PeriodLocation.of(BUCKET, report, period)


def written_manifest(kept: KeptVersion, location: PeriodLocation) -> dict[str, Any]:
    """The manifest as the version wrote it."""
    key = location.manifest_uri.removeprefix(f"s3://{BUCKET}/")
    return kept.read(f"published/{key}")


def expected_rows(kept: KeptVersion, period: Period) -> list[tuple[int, str, int]]:
    return ranking(kept.days, period.start, period.end)


def read_rows(dag_id: str, period: Period) -> list[tuple[int, str, int]]:
    """Rank, page and visits of a period as the Reports page shows them."""
    reports = PublishedReports(
        DATABASE, BUCKET, boto3.client("glue"), S3(boto3.client("s3")), "https://console/"
    )
    timetable = PeriodTimetable(CADENCES[dag_id])
    dag = ReportDag(dag_id, timetable, period.start_utc, is_paused=False)
    manifest = reports.manifest(dag, period.id)
    rows = reports.rows(dag, manifest, ["rank", "page", "visits"])
    return [(int(rank or 0), str(page), int(visits or 0)) for rank, page, visits in rows]


# --- the project


@since_3_3
def test_each_dag_file_parses_and_makes_the_dags_that_it_made(kept: KeptVersion) -> None:
    dag_ids: set[str] = set()
    for file in kept.dags.glob("*.py"):
        dag_ids |= parse_dags(file).keys()
    assert dag_ids > {file.stem for file in (kept.folder / "serialized").iterdir()}


@since_3_3
def test_what_airflow_has_stored_of_a_dag_is_read(kept: KeptVersion) -> None:
    stored = {}
    for file in (kept.folder / "serialized").iterdir():
        stored[file.stem] = DagSerialization.from_dict(json.loads(file.read_text()))
    for dag_id, dag in stored.items():
        assert dag.dag_id == dag_id
    stored_of_reports = stored.keys() & CADENCES.keys()
    assert stored_of_reports
    for dag_id in stored_of_reports:
        timetable = stored[dag_id].timetable
        assert isinstance(timetable, PeriodTimetable)
        assert timetable.cadence == CADENCES[dag_id]


def test_a_trigger_that_waits_goes_on(kept: KeptVersion) -> None:
    class_path, fields = kept.facts["trigger"]
    trigger = import_string(class_path)(**fields)
    stored_again = trigger.serialize()
    assert stored_again[0] == class_path
    assert stored_again[1].items() >= fields.items()


def test_every_name_that_could_be_imported_still_can_and_takes_what_it_took(
    kept: KeptVersion,
) -> None:
    today = imports()
    for name, offered in kept.facts["imports"].items():
        assert name in today
        assert set(today[name]) >= set(offered), name


def test_every_setting_is_still_one_and_has_the_same_default(kept: KeptVersion) -> None:
    assert settings_of_dev(kept.sql).items() >= kept.facts["settings"].items()


def test_every_command_and_option_is_still_there(kept: KeptVersion) -> None:
    today = commands()
    for name, options in kept.facts["commands"].items():
        assert name in today
        assert set(today[name]) >= set(options), name


# --- what is published


@pytest.mark.parametrize("dag_id", CADENCES)
def test_a_manifest_is_read_and_loses_nothing(kept: KeptVersion, dag_id: str) -> None:
    report = dag_id.removesuffix("_weekly").removesuffix("_monthly")
    for period in periods_of(kept, dag_id):
        written = written_manifest(kept, location_of(period, report))
        read = Manifest.model_validate(written).model_dump(mode="json")
        require_part(written, read)


def require_part(written: Any, read: Any) -> None:
    """Require that what was written was read. What was read may have more fields at any depth."""
    if isinstance(written, dict):
        for name, value in written.items():
            require_part(value, read[name])
    elif isinstance(written, list):
        for part, read_part in zip(written, read, strict=True):
            require_part(part, read_part)
    else:
        assert read == written


@pytest.mark.parametrize("dag_id", REPORTS)
def test_the_page_shows_the_rows(restored: KeptVersion, dag_id: str) -> None:
    for period in periods_of(restored, dag_id):
        assert read_rows(dag_id, period) == expected_rows(restored, period)


@pytest.mark.parametrize("dag_id", REPORTS)
def test_a_period_is_published_and_of_the_same_logic(
    restored: KeptVersion, shell: Shell, dag_id: str
) -> None:
    status = shell.status(dag_id)
    assert status["problems"] == []
    versions = {period["period"]: period for period in status["periods"] if period["version"]}
    assert list(versions) == [period.id for period in periods_of(restored, dag_id)]
    for period in periods_of(restored, dag_id):
        written = written_manifest(restored, location_of(period))
        assert versions[period.id]["version"] == written["version"]
        assert versions[period.id]["logic"] == written["logic"]
        assert not {"outdated", "broken", "stale"} & set(versions[period.id]["states"])


@pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
def test_the_json_of_the_commands_has_every_field(restored: KeptVersion, shell: Shell) -> None:
    period = periods_of(restored, WEEKLY)[-1]
    for name, arguments in outputs_of(period.id).items():
        before = restored.read("outputs.json")[name]
        assert missing_fields(before, shell.json(*arguments)) == [], name


def missing_fields(before: Any, today: Any, place: str = "") -> list[str]:
    """The fields of a document that another one lacks; of lists the first items are compared."""
    missing = []
    if isinstance(before, dict) and isinstance(today, dict):
        for name, value in before.items():
            if name in today:
                missing += missing_fields(value, today[name], f"{place}.{name}")
            else:
                missing.append(f"{place}.{name}")
    elif isinstance(before, list) and isinstance(today, list) and before and today:
        missing += missing_fields(before[0], today[0], f"{place}[]")
    return missing


@pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
def test_a_plan_compares_with_it(
    restored: KeptVersion, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = str(len(periods_of(restored, WEEKLY)))
    assert changed(shell.json("plan", WEEKLY, "--last", last, "--yes")) == []

    shutil.copytree(restored.sql, tmp_path / "sql")
    file = tmp_path / "sql" / "page_visits.sql"
    file.write_text(file.read_text().replace("visits > 0", "visits > 0 AND page <> '/news'"))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(tmp_path / "sql"))
    athena_reports.settings.settings.cache_clear()
    edited = shell.json("plan", WEEKLY, "--last", last, "--yes")
    with_news = []
    for period in periods_of(restored, WEEKLY):
        pages = {page for _, page, _ in expected_rows(restored, period)}
        if "/news" in pages:
            with_news.append(period.id)
    assert changed(edited) == with_news != []


def changed(plan: dict[str, Any]) -> list[str]:
    periods = []
    for period in plan["periods"]:
        counts = period["differences"]
        if counts["added"] or counts["removed"] or counts["changed"]:
            periods.append(period["period"])
    return sorted(periods)


# --- what is published over it


@pytest.mark.parametrize("dag_id", REPORTS)
def test_the_same_period_again_changes_no_row(restored: KeptVersion, dag_id: str) -> None:
    dag = load_dags(restored.dags / "page_visits.py")[dag_id]
    for period in periods_of(restored, dag_id):
        run_dag(dag, period=period.id)
        location = location_of(period)
        manifest = Manifest.model_validate(read_complete(boto3.client("s3"), location))
        # Another version of DuckDB may write other bytes.
        for earlier in manifest.earlier_versions:
            assert earlier.difference is not None
            assert set(earlier.difference.model_dump().values()) == {0}
        assert read_rows(dag_id, period) == expected_rows(restored, period)


def test_late_rows_make_a_new_version_of_it(restored: KeptVersion, late_visit: Visit) -> None:
    period = periods_of(restored, WEEKLY)[-1]
    location = location_of(period)
    s3 = boto3.client("s3")
    glue = boto3.client("glue")
    facts_before = facts_in(partitions_of(glue, DATABASE, WEEKLY)[period.id])
    latest_before = read_json(s3, location.report.latest_uri)
    before = expected_rows(restored, period)
    dag = load_dags(restored.dags / "page_visits.py")[WEEKLY]
    outcome = run_dag(dag, period=period.id).values["publish", "return_value"]
    assert outcome["outcome"] == "published"

    document = read_complete(s3, location)
    manifest = Manifest.model_validate(document)
    assert manifest.code_version == athena_reports.__version__
    (earlier,) = manifest.earlier_versions
    assert earlier.version == written_manifest(restored, location)["version"]
    assert earlier.difference is not None
    assert earlier.difference.added == 1
    assert earlier.code_version == restored.name
    assert manifest.restated_at
    partitions = partitions_of(glue, DATABASE, WEEKLY)
    assert_followed(s3, location, partitions)
    # Who reads these, with programs of their own, finds every field again.
    assert missing_fields(written_manifest(restored, location), document) == []
    assert missing_fields(latest_before, read_json(s3, location.report.latest_uri)) == []
    assert missing_fields(facts_before, facts_in(partitions[period.id])) == []
    with_late = sorted([*before, (0, late_visit.page, 1)], key=lambda row: (-row[2], row[1]))
    expected = [(rank, page, visits) for rank, (_, page, visits) in enumerate(with_late, 1)]
    assert read_rows(WEEKLY, period) == expected


def test_a_provisional_period_is_reported_again_when_it_has_settled(
    restored: KeptVersion,
) -> None:
    provisional = []
    settled_at = datetime.min.replace(tzinfo=UTC)
    for period in periods_of(restored, WEEKLY):
        manifest = Manifest.model_validate(written_manifest(restored, location_of(period)))
        if manifest.provisional:
            provisional.append(period.id)
            settled_at = max(settled_at, datetime.fromisoformat(manifest.settles_at))
    assert provisional
    dag = load_dags(restored.dags / "maintenance.py")["athena_reports_restatement"]
    find, context = prepare(dag.get_task("find"), TaskInstance(), "run-1", params={"stale": True})
    with time_machine.travel(settled_at + timedelta(hours=1)):
        triggers = execute(find, context)
    periods = [
        trigger["conf"]["period"] for trigger in triggers if trigger["trigger_dag_id"] == WEEKLY
    ]
    assert periods == provisional


def test_a_run_that_began_before_the_upgrade_publishes_after_it(restored: KeptVersion) -> None:
    dag = load_dags(restored.dags / "page_visits.py")[WEEKLY]
    period = CADENCES[WEEKLY].period(restored.facts["unpublished"])
    xcoms = TaskInstance(dag_id=WEEKLY, run_id="in_flight")
    for task_id, values in restored.read("in_flight.json").items():
        for key, value in values.items():
            xcoms.values[task_id, key] = value
    publish, context = prepare(
        dag.get_task("publish"), xcoms, "in_flight", params={"period": period.id}
    )
    assert execute(publish, context)["outcome"] == "published"
    read_complete(boto3.client("s3"), location_of(period))
    assert read_rows(WEEKLY, period) == expected_rows(restored, period)


def test_fields_that_a_later_version_has_added_are_passed_over(
    restored: KeptVersion, shell: Shell
) -> None:
    """After the way back to today's version, as the page describes it."""
    s3 = boto3.client("s3")
    for key in restored.read("publication.json")["objects"]:
        if not key.endswith(".json"):
            continue
        document = read_json(s3, f"s3://{BUCKET}/{key}")
        document["added_later"] = {"a": [1]}
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document).encode())
    period = periods_of(restored, WEEKLY)[-1]
    glue = boto3.client("glue")
    listed = partitions_of(glue, DATABASE, WEEKLY)[period.id]
    partition: Any = {
        "Values": [period.id],
        "StorageDescriptor": listed["StorageDescriptor"],
        "Parameters": listed["Parameters"] | {"added_later": "1"},
    }
    glue.update_partition(
        DatabaseName=DATABASE,
        TableName=WEEKLY,
        PartitionValueList=[period.id],
        PartitionInput=partition,
    )
    assert shell.status(WEEKLY)["problems"] == []
    assert read_rows(WEEKLY, period) == expected_rows(restored, period)
    run_dag(load_dags(restored.dags / "page_visits.py")[WEEKLY], period=period.id)
    read_complete(s3, location_of(period))
    assert read_rows(WEEKLY, period) == expected_rows(restored, period)


def test_a_dag_of_the_operators_publishes_over_it(restored: KeptVersion) -> None:
    dag = load_dags(restored.dags / "visits_by_hand.py")["visits_by_hand"]
    (published,) = periods_of(restored, "visits_by_hand")
    for period in (published, published.next):
        run_dag(dag, period=period.id)
        location = location_of(period, "visits_by_hand")
        manifest = read_complete(boto3.client("s3"), location)
        (stored,) = manifest["objects"]
        content = boto3.client("s3").get_object(Bucket=BUCKET, Key=stored["key"])["Body"].read()
        days = days_between(period.start.date(), period.end.date() - timedelta(days=1))
        assert content.decode() == f"visits\n{sum(len(list(visits_on(day))) for day in days)}\n"
