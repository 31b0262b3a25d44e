"""What a preview of deliveries reads; tests/services/test_delivery_preview.py has its files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine

from athena_reports import build_dag, slack
from athena_reports.publication.location import PeriodLocation
from athena_reports.rows.writer import write_table
from athena_reports.settings import Settings
from athena_reports_cli.authoring import delivery_preview
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws, Trial
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.support.engines import engine

LATE_BY = timedelta(hours=36)


@since_3_3
@pytest.mark.parametrize("is_ordered", [True, False])
@pytest.mark.parametrize("missing", [[], ["dt=2025-06-09", "dt=2025-06-10"]])
@pytest.mark.parametrize("is_provisional", [True, False])
def test_a_preview_is_of_what_the_run_would_publish_at_this_time(
    is_ordered: bool,
    missing: list[str],
    is_provisional: bool,
    make_report: MakeReport,
    deployment: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def deliver(*arguments: Any) -> dict[str, bytes]:
        seen.extend(arguments)
        return {".json": b"[]"}

    monkeypatch.setattr(delivery_preview, "_delivery", deliver)
    nobody: Any = None
    execution: Any = SimpleNamespace(id="q-1", submitted_at="2025-06-15T15:05:00.000+00:00")
    report = make_report(key=["user_id"], late_by=LATE_BY)
    channels = [slack("team", channel="#sales")]
    declared = DeclaredReport(build_dag(report, WEEKS, deliver=channels))
    now = WEEK.end_utc + LATE_BY - timedelta(seconds=is_provisional)
    with engine() as shared, time_machine.travel(now, tick=False):
        rows = shared.connection.sql("SELECT 1 AS user_id, 'a' AS name UNION ALL SELECT 2, 'b'")
        done = Trial(execution, shared, write_table(rows, shared), is_ordered, ())
        aws = Aws(athena=nobody, glue=nobody, s3=nobody)
        folder = tmp_path / "deliveries"
        written = delivery_preview.write_deliveries(
            declared, WEEK, done, aws, folder, missing_partitions=missing
        )
        channel, manifest, reader = seen
        # A reader downloads what its folder does not have.
        (stored,) = manifest.objects
        assert (shared.folder / stored.key).read_bytes() == done.table.path.read_bytes()

    assert (channel.name, written) == ("team", [folder / "team.json"])
    assert (manifest.report, manifest.environment) == ("plays", deployment.environment)
    assert (manifest.period.id, manifest.run.dag_id) == (WEEK.id, "plays_weekly")
    assert (manifest.ordered, manifest.key) == (is_ordered, ("user_id",))
    assert (manifest.rows, stored.rows) == (2, 2)
    assert [column.name for column in manifest.columns] == ["user_id", "name"]
    assert (manifest.partial, manifest.missing_partitions) == (missing != [], tuple(missing))
    assert manifest.provisional == is_provisional
    assert manifest.settles_at == (WEEK.end_utc + LATE_BY).isoformat()
    assert manifest.published_at == now.isoformat(timespec="milliseconds")
    assert (manifest.query.id, manifest.query.submitted_at) == ("q-1", execution.submitted_at)

    assert reader.period == WEEK
    bucket = deployment.report_bucket
    assert reader.location == PeriodLocation.of(bucket, "plays", WEEK)
