"""What the demo prints of what was published, and what it copies of it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from athena_reports.aws.s3 import S3
from athena_reports.rows.checks import CheckResult
from athena_reports_cli.local.services import Services
from demo.show import latest_manifest, mirror, show_query, show_ranking
from tests.support.publishing import EARLY, LATE, Place, facts, week

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANKING = """
SELECT
    row_number() OVER () * 1000 AS user_rank,
    row_number() OVER () * 1000 AS plays,
    name,
    ['up 2', 'down 1', 'new', 'same'][1 + (row_number() OVER () - 1) % 4] AS movement
FROM names
"""
CHECKS = (
    CheckResult(name="unique(a)", severity="fail", passed=True, message="0 of 12 rows."),
    CheckResult(name="[b]", severity="warn", passed=False, message="[1] of 12 rows."),
)


@pytest.fixture
def place(s3: S3Client, bucket: str) -> Place:
    """A period that is not published yet."""
    return Place(S3(s3), week(bucket))


def ranking_of(place: Place) -> list[str]:
    """The lines that are printed of the latest period."""
    output = StringIO()
    bucket = place.location.report.bucket
    manifest = latest_manifest(place.s3.client, bucket, "plays", "weekly")
    show_ranking(
        Console(file=output, width=150, force_terminal=False), place.s3.client, bucket, manifest
    )
    return output.getvalue().splitlines()


def test_the_latest_ranking_is_shown_with_its_first_rows_and_all_that_is_published(
    place: Place,
) -> None:
    names = ["two\nlines", None, "NULL", "[red]", *(f"user {number}" for number in range(8))]
    earlier = place.at("2026-11-08")
    earlier.publish(earlier.upload("x"), facts(period_id="2026-11-08"))
    version = place.upload(*names, sql=RANKING)
    place.publish(version, facts(checks=CHECKS))

    lines = ranking_of(place)
    assert lines[0].strip() == "plays, weekly 2026-11-15"
    (header,) = [line for line in lines if line.startswith("┃")]
    cells = [cell.strip() for cell in header.strip("┃").split("┃")]
    assert cells == ["user_rank", "plays", "name", "movement"]
    table = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    rows = [[cell.strip() for cell in cells] for cells in table]
    assert rows[:5] == [
        ["1000", "1,000", "two\\nlines", "up 2"],
        ["2000", "2,000", "NULL", "down 1"],
        ["3000", "3,000", "NULL", "new"],
        ["4000", "4,000", "[red]", "same"],
        ["5000", "5,000", "user 0", "up 2"],
    ]
    assert len(rows) == 10
    csv, parquet = sorted((item.format, item.key) for item in version.objects)
    bucket = place.location.report.bucket
    below = lines.index(f"  csv      s3://{bucket}/{csv[1]}")
    caption = "10 of 12 rows; 2026-11-15T00:00:00+00:00 to later (UTC)"
    assert " ".join(" ".join(lines[:below]).split()).endswith(caption)
    assert lines[below:] == [
        f"  csv      s3://{bucket}/{csv[1]}",
        f"  parquet  s3://{bucket}/{parquet[1]}",
        "  scanned  20,000,000 bytes, 0.00010 USD (10 MB minimum)",
        f"  version  {version.version}",
        "  check    passed  unique(a): 0 of 12 rows.",
        "  check    warn  [b]: [1] of 12 rows.",
        "",
    ]


def test_a_version_is_shown_with_those_before_it_and_with_what_it_lacks(place: Place) -> None:
    place.publish(first := place.upload("a", "b", key=["user_id"]), facts(EARLY))
    marks: dict[str, Any] = {"provisional": True, "partial": True}
    marks["missing_partitions"] = ("plays/dt=2026-11-16", "plays/dt=2026-11-17")
    second = place.upload("a", "c", "d", key=["user_id"])
    place.publish(second, facts(LATE, by="run-2", **marks))
    assert [line for line in ranking_of(place) if line.startswith(("  version", "  before"))] == [
        f"  version  {second.version} (provisional, partial:"
        " plays/dt=2026-11-16, plays/dt=2026-11-17)",
        f"  before   {first.version}, 2 rows: 1 rows were added, 0 removed and 1 changed since",
    ]


def test_a_period_whose_events_may_still_land_says_so(place: Place) -> None:
    place.publish(version := place.upload("a"), facts(provisional=True))
    (line,) = [line for line in ranking_of(place) if line.startswith("  version")]
    assert line == f"  version  {version.version} (provisional: more events may arrive)"


def test_a_query_is_shown_with_its_rows_and_null(services: Services) -> None:
    output = StringIO()
    console = Console(file=output, width=100)
    sql = "SELECT 'a[b]' AS name, CAST(NULL AS integer) AS n UNION ALL SELECT 'c', 2 ORDER BY name"
    show_query(console, services.athena, "report_dev", "dev", sql)
    lines = output.getvalue().splitlines()
    assert "".join(lines[:2]).startswith(sql)
    assert "Athena, database report_dev" in " ".join(output.getvalue().split())
    cells = [[cell.strip() for cell in line[1:-1].split(line[0])] for line in lines if "┃" in line]
    assert cells == [["name", "n"]]
    rows = [[cell.strip() for cell in line[1:-1].split("│")] for line in lines if line[:1] == "│"]
    assert rows == [["a[b]", "NULL"], ["c", "2"]]


def test_a_copy_of_a_bucket_has_its_objects_and_nothing_of_an_earlier_copy(
    s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    objects = {f"plays/weekly/{number}/data.csv": str(number).encode() for number in range(3)}
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "of_an_earlier_copy").touch()
    assert mirror(s3, bucket, folder) == 3
    copied = {}
    for path in folder.rglob("*"):
        if path.is_file():
            copied[path.relative_to(folder).as_posix()] = path.read_bytes()
    assert copied == objects
