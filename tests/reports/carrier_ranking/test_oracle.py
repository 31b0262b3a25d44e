"""The oracle on examples worked out by hand."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.reports.carrier_ranking.oracle import carrier_ranking

NEW_YORK = ZoneInfo("America/New_York")
HEADER = "dep_time,arr_delay,carrier,distance,time_hour\n"


def flights(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "flights.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_carriers_by_departures_with_exact_means(tmp_path: Path) -> None:
    path = flights(
        tmp_path,
        "600,1,UA,100,2013-03-12T10:00:00Z",
        "600,2,UA,200,2013-03-12T10:00:00Z",
        "NA,NA,UA,999,2013-03-12T10:00:00Z",  # cancelled: counts for nothing
        "NA,NA,ZZ,999,2013-03-12T10:00:00Z",  # has no flight at all
        "600,NA,B6,50,2013-03-12T10:00:00Z",  # departed, arrived elsewhere
        "600,NA,AA,60,2013-03-12T10:00:00Z",
    )
    rows = carrier_ranking(
        path, datetime(2013, 3, 11, tzinfo=NEW_YORK), datetime(2013, 3, 18, tzinfo=NEW_YORK)
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "UA", 2, 300, Decimal("1.50")),
        (2, "AA", 1, 60, None),
        (3, "B6", 1, 50, None),
    ]


@pytest.mark.parametrize(
    ("delays", "mean"),
    [
        # 0.125, which binary floating point and half-even put at 0.12.
        ([1, 0, 0, 0, 0, 0, 0, 0], "0.13"),
        ([-1, 0, 0, 0, 0, 0, 0, 0], "-0.13"),
        ([1, 0, 0], "0.33"),
        ([-2, 0, 0], "-0.67"),
        ([5], "5.00"),
    ],
)
def test_means_round_halves_away_from_zero(tmp_path: Path, delays: list[int], mean: str) -> None:
    path = flights(tmp_path, *(f"1,{delay},UA,1,2013-03-12T10:00:00Z" for delay in delays))
    (row,) = carrier_ranking(
        path, datetime(2013, 3, 11, tzinfo=NEW_YORK), datetime(2013, 3, 18, tzinfo=NEW_YORK)
    )
    assert str(row["mean_arrival_delay_minutes"]) == mean


def test_flights_belong_to_the_period_of_their_scheduled_hour_across_a_change_of_dst(
    tmp_path: Path,
) -> None:
    path = flights(
        tmp_path,
        "1,1,BEFORE,1,2013-03-04T04:00:00Z",  # Sunday 23:00 EST
        "1,1,FIRST,1,2013-03-04T05:00:00Z",  # Monday 00:00 EST
        "1,1,LAST,1,2013-03-11T03:00:00Z",  # Sunday 23:00 EDT
        "1,1,AFTER,1,2013-03-11T04:00:00Z",  # Monday 00:00 EDT
    )
    rows = carrier_ranking(
        path, datetime(2013, 3, 4, tzinfo=NEW_YORK), datetime(2013, 3, 11, tzinfo=NEW_YORK)
    )
    assert {row["carrier"] for row in rows} == {"FIRST", "LAST"}
