"""`plan`: its prices, and folders that no run could publish to.

Its questions, answers and output are in tests/services/commands/test_plan.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median

import pytest

from tests.support.flown import DAG_ID, EDIT, WEEKS, Flown
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output


def price_of(scans: Sequence[int]) -> str:
    """What queries that scan so many bytes cost in us-east-1, as a question says it.

    Athena bills at least 10 MB of each, at 5 USD for a terabyte.
    """
    usd = sum(max(scanned, 10_000_000) * 5 / 10**12 for scanned in scans)
    kilobytes = sum(scans) / 1000
    assert 1 <= kilobytes < 1000
    return f"about {kilobytes:.1f} kB, {usd:.5f} USD"


def paid(flown: Flown) -> list[int]:
    """What the published query of each week has scanned, by its manifest."""
    scans = []
    for week in WEEKS:
        key = f"flown/weekly/{week}/manifest.json"
        stored = flown.services.s3.get_object(Bucket="athena-report-dev", Key=key)
        scans.append(json.loads(stored["Body"].read())["query"]["scanned_bytes"])
    return scans


def test_the_question_names_the_price_of_all_that_a_yes_pays(shell: Shell, flown: Flown) -> None:
    """The edited SQL is expected to scan what a published week nearby has scanned."""
    flown.edit(*EDIT)
    code, _ = shell("plan", "flown", answer="n\n")
    assert code == 1
    scans = paid(flown)
    estimate = round(median(scans))
    question, _ = shell.errors.split("Pay?")
    assert f"Query {', '.join(WEEKS)} of {DAG_ID}: {price_of([estimate] * 3)}. " in question


@pytest.mark.parametrize(
    ("variables", "old", "new", "says"),
    [
        ({}, 'weekly("monday",', 'weekly("sunday",', "Weekly from Sunday, America/New_York"),
        ({}, '"America/New_York"', '"UTC"', "Weekly from Monday, UTC"),
        (
            {"ATHENA_REPORTS_ENV": "stg"},
            "",
            "",
            "belongs to environment dev; this is environment stg",
        ),
    ],
    ids=["first day", "zone", "environment"],
)
def test_a_report_that_no_run_could_publish_is_refused_before_it_asks_to_pay(
    variables: dict[str, str],
    old: str,
    new: str,
    says: str,
    shell: Shell,
    flown: Flown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-dev")
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", "report_dev")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = flown.root / "dags" / "flown.py"
    if old:
        file.write_text(file.read_text().replace(old, new))
    before = flown.queries().keys()
    code, printed = shell("plan", "flown")
    assert code == 1
    assert "s3://athena-report-dev/flown/weekly/ " in printed
    assert says in printed
    assert "Pay?" not in printed
    assert flown.queries().keys() == before
