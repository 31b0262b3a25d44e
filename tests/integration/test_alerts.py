"""The example of docs/how-to/be-told.md: a late period arrives at SNS, a published one does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_local.services import Services
from athena_reports import weekly
from tests.inbox import Inbox
from tests.integration.runner import FakeDagRun, XComs, run_dag
from tests.parsed import parse_dags

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "be-told.md"
WEEK = weekly("sunday", "Asia/Tokyo").period("2025-03-09")


def example() -> str:
    """The DAG file that the page shows, with the SQL of the tests."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(block).replace("best_users.sql", "top_users.sql")


pytestmark = pytest.mark.usefixtures("dags_folder")


@pytest.fixture
def dags(services: Services, tmp_path: Path) -> Mapping[str, Any]:
    file = tmp_path / "best_users.py"
    file.write_text(example())
    return parse_dags(file)


@pytest.mark.usefixtures("plays_lake")
def test_a_period_is_late_until_it_is_published(
    services: Services, dags: Mapping[str, Any]
) -> None:
    inbox = Inbox.create(services, "reports-dev")
    scheduled = FakeDagRun(datetime.now(UTC), "scheduled", WEEK.start_utc, WEEK.end_utc)

    def is_late() -> bool:
        found: bool = run_dag(dags["best_users_weekly_late"], scheduled).values[
            "tell_if_late", "return_value"
        ]
        return found

    assert is_late()
    ((subject, message),) = inbox.take()
    assert subject == "dev: best_users_weekly 2025-03-09 is late"
    (shown,) = re.findall(r"```text\n(best_users.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert message == shown

    run_dag(dags["best_users_weekly"], scheduled)
    assert not is_late()
    assert inbox.take() == []


@pytest.mark.parametrize(
    ("since", "until", "is_late"),
    [
        ("2025-01-01", "2025-03-08", False),
        ("2025-01-01", "2025-03-09", True),
        ("2025-03-09", "2025-03-09", True),
        ("2025-03-10", None, False),
    ],
)
def test_a_period_that_the_report_does_not_have_is_not_late_whoever_looks_for_it(
    services: Services, tmp_path: Path, since: str, until: str | None, is_late: bool
) -> None:
    """A run without a logical date, as somebody triggers it,
    takes the last period that is complete.
    """
    dates = f'since="{since}", until={until!r}'
    file = tmp_path / "ended_users.py"
    file.write_text(
        example().replace("best_users", "ended_users").replace('since="2025-01-01"', dates)
    )
    inbox = Inbox.create(services, "reports-dev")
    run = run_dag(parse_dags(file)["ended_users_weekly_late"], FakeDagRun(WEEK.end_utc))

    assert run.values["tell_if_late", "return_value"] is is_late
    assert [subject for subject, _ in inbox.take()] == [
        "dev: ended_users_weekly 2025-03-09 is late"
    ] * is_late


@pytest.mark.parametrize("skipped", [True, False])
def test_a_period_that_a_run_has_skipped_is_not_late(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skipped: bool
) -> None:
    file = tmp_path / "best_users.py"
    file.write_text(
        example().replace("best_users", "rare_users").replace("params=", 'empty="skip", params=')
    )
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        XComs, "get_dr_count", lambda _, **which: asked.update(which) or int(skipped), raising=False
    )
    run = run_dag(parse_dags(file)["rare_users_weekly_late"], FakeDagRun(WEEK.end_utc))

    assert run.values["tell_if_late", "return_value"] is not skipped
    assert asked == {
        "dag_id": "rare_users_weekly",
        "logical_dates": [WEEK.start_utc],
        "states": ["success"],
    }
