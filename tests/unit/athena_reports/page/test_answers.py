"""Each field that the page's JavaScript reads has what its name says."""

from __future__ import annotations

from datetime import UTC, datetime

from athena_reports.page.answers import PeriodRow
from athena_reports.page.coverage import Cell, Run, State
from athena_reports.periods.calendar import monthly
from athena_reports.publication.manifest import RunFacts
from tests.support.calendars import WEEKS
from tests.support.partition_facts import facts, text

WEEK = WEEKS.period("2026-03-01")
OF_PARTITION = {
    "version": "v1",
    "rows": 11,
    "bytes": 12,
    "published_at": "2026-03-08T01:00:00.000+00:00",
    "scanned_bytes": 15,
    "price_usd": 0.16,
    "broken": "the manifest is gone",
}
PUBLISHED = facts(
    WEEK,
    **OF_PARTITION,
    earlier_versions=tuple({"version": f"v{number}", "replaced_at": ""} for number in range(14)),
    run=RunFacts(dag_id="scores_weekly", run_id="of the publication"),
)
OF_PUBLICATION = OF_PARTITION | {"earlier": 14}


def test_a_period_has_what_its_partition_says() -> None:
    states = [State.BROKEN, State.WARNED]
    row = PeriodRow.of(Cell(WEEK, states, PUBLISHED, None))
    assert row._asdict() == {
        "id": "2026-03-01",
        "days": 7,
        "states": states,
        "run_id": "of the publication",
        "waits": "",
        **OF_PUBLICATION,
    }


def test_a_period_leads_to_its_run_and_says_what_that_waits_for() -> None:
    run = Run("of today", "running", waits="Waits for its input.")
    row = PeriodRow.of(Cell(WEEK, [State.RUNNING], PUBLISHED, run))._asdict()
    assert (row["run_id"], row["waits"]) == ("of today", "Waits for its input.")
    assert row.items() >= OF_PUBLICATION.items()


def test_a_period_that_is_not_published_has_its_dates_and_its_run() -> None:
    february = monthly("Asia/Tokyo").period("2024-02")
    run = Run("of today", "failed", text(datetime(2024, 3, 1, tzinfo=UTC)))
    row = PeriodRow.of(Cell(february, [State.FAILED, State.MISSING], None, run))._asdict()
    assert (row["id"], row["days"]) == ("2024-02", 29)
    assert row["states"] == [State.FAILED, State.MISSING]
    assert (row["run_id"], row["waits"]) == ("of today", "")
    assert {row[name] for name in OF_PUBLICATION} == {None}
