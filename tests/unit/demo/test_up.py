"""What `make up` starts; tests/unit/athena_reports_cli/local has its Airflow."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from demo.lake import DEMO_PLAYS
from demo.run import CARRIER_JOBS, Job
from demo.up import jobs_until, plays_until


def test_the_plays_go_on_until_today_and_the_samples_are_backfilled_until_then() -> None:
    today = date(2026, 4, 1)
    dates = ("2025-08-30", "2026-04-01")
    # The plays of today are in the last partition.
    assert plays_until(today) == replace(DEMO_PLAYS, end=date(2026, 4, 2))
    assert jobs_until(today) == [
        Job("user_ranking", "weekly", "Asia/Tokyo", *dates),
        Job("user_ranking", "monthly", "Asia/Tokyo", *dates),
        *CARRIER_JOBS,
    ]
