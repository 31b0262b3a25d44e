"""`preview --deliver`: what the channels of a report would get, without a server."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import time_machine

from tests.support.airflow_versions import since_3_3
from tests.support.flown import Flown
from tests.support.shell import Shell

pytestmark = [pytest.mark.usefixtures("published_weeks"), since_3_3]

WEEK = "2013-03-25"
CHANNELS = """deliver=[
        mail("sales", to=["sales@example.com"], bar="distance", attach="csv", rows=3),
        mail("japan", to=["japan@example.com"], language="ja"),
        slack("team", channel="#sales", language="ja", rows=2),
    ],
"""


@pytest.fixture
def folder(flown: Flown, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are written, of a report with channels."""
    monkeypatch.chdir(flown.root)
    file = flown.root / "dags" / "flown.py"
    text = file.read_text().replace("import Input", "import mail, slack, Input")
    text = text.replace('"America/New_York"))', f'"America/New_York"), {CHANNELS})')
    file.write_text(text)
    return flown.root / "dist" / "preview" / "flown_weekly" / WEEK


def test_the_files_are_what_would_arrive(flown: Flown, folder: Path, shell: Shell) -> None:
    folder.mkdir(parents=True)
    (folder / "old.html").write_text("of a channel that is gone")
    code, printed = shell("preview", "flown", WEEK, "--run", "--deliver")
    assert code == 0, printed
    names = {path.name for path in folder.iterdir()}
    attachment = f"sales-flown_{WEEK}.csv"
    assert names == {
        *("sales.html", "sales.txt", attachment),
        *("japan.html", "japan.txt", "team.json"),
    }
    assert all(f"wrote {folder / name}" in printed for name in names)

    text = (folder / "sales.txt").read_text()
    assert "Preview, not published. Environment dev." in text
    assert "Published on" not in text
    rows = list(csv.DictReader((folder / attachment).open(newline="", encoding="utf-8-sig")))
    shown = (folder / "sales.html").read_text()
    assert [row["carrier"] in shown for row in rows[:4]] == [True, True, True, False]
    assert len(rows) > 10
    total = sum(int(row["distance"]) for row in rows)
    assert f"Total of distance: {total:,}" in text
    assert "flown: 2013年3月25日" in (folder / "japan.html").read_text()
    # Each in the language of its channel, and readable.
    for name in ("japan.txt", "team.json"):
        assert "プレビュー（未公開）、環境: dev" in (folder / name).read_text(encoding="utf-8")
    blocks = json.loads((folder / "team.json").read_text())
    assert {block["type"] for block in blocks} >= {"header", "section"}
    assert "No report is published for the previous week" not in text
    # Nothing is missing, and there is nothing yet that a link could lead to.
    for word in ("Provisional", "Partial", "http"):
        assert word not in text


def test_a_preview_says_what_the_period_lacks_and_has_no_private_column(
    flown: Flown, folder: Path, shell: Shell
) -> None:
    """The flights end with 2013, and the week does not."""
    flown.edit("SELECT carrier,", "SELECT 'secret ' || carrier AS carrier,")
    declared = """    late_by=datetime.timedelta(hours=36),
    columns={
        "carrier": Column("varchar", "Carrier", private=True),
        "flights": Column("bigint", "Flights"),
        "distance": Column("bigint", "Miles"),
    },
    checks="""
    file = flown.root / "dags" / "flown.py"
    text = file.read_text().replace("    checks=", declared)
    text = text.replace("import ", "import Column, ", 1)
    file.write_text(f"import datetime\n{text}")
    last_week = "2013-12-30"
    with time_machine.travel("2014-01-06 12:00:00+00:00"):
        code, printed = shell("preview", "flown", last_week, "--run", "--deliver")
    assert code == 0, printed
    assert "missing in Glue: dt=2014-01-02, dt=2014-01-03, " in printed
    written = {
        path.name: path.read_text(encoding="utf-8")
        for path in folder.with_name(last_week).iterdir()
    }
    assert len(written) == 6
    for told in written.values():
        assert "distance" in told
        assert "carrier" not in told
        assert "secret" not in told
    mail = written["sales.txt"]
    assert "Partial: 5 partitions of the source data were missing" in mail
    assert "Provisional" in mail
    assert "No report is published for the previous week" in mail


def test_a_report_without_channels_is_refused_before_anything_is_paid(
    flown: Flown, folder: Path, shell: Shell
) -> None:
    paid = len(flown.queries())
    file = flown.root / "dags" / "flown.py"
    file.write_text(file.read_text().replace(CHANNELS, ""))
    code, printed = shell("preview", "flown", WEEK, "--run", "--deliver")
    assert code == 1
    assert "flown_weekly has no channels. Set deliver= in build_dag." in printed
    assert len(flown.queries()) == paid
    assert not folder.exists()


def test_a_delivery_needs_the_query(shell: Shell) -> None:
    code, printed = shell("preview", "flown", WEEK, "--deliver")
    assert code == 2
    assert (
        "Invalid value for --deliver: Add --run to run the query; Athena charges for it." in printed
    )
