"""The ranking of carriers, from the CSV as it is published."""

import csv
import io
import math
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple


class Departure(NamedTuple):
    scheduled: datetime
    carrier: str
    distance: int
    arrival_delay: int | None


def carrier_ranking(
    csv_path: Path, start_local: datetime, end_local: datetime
) -> list[dict[str, Any]]:
    """All carriers with a departure scheduled in [start_local, end_local);
    the bounds carry their zone.

    `csv_path` is the CSV or a zip of it.
    """
    start, end = _utc(start_local), _utc(end_local)
    departures: dict[str, list[Departure]] = defaultdict(list)
    for flight in _departures(csv_path):
        if start <= flight.scheduled < end:
            departures[flight.carrier].append(flight)
    order = sorted(departures.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "rank": rank,
            "carrier": carrier,
            "flights": len(flights),
            "distance_miles": sum(flight.distance for flight in flights),
            "mean_arrival_delay_minutes": _mean(
                [f.arrival_delay for f in flights if f.arrival_delay is not None]
            ),
        }
        for rank, (carrier, flights) in enumerate(order, start=1)
    ]


def _utc(bound: datetime) -> datetime:
    return bound.astimezone(UTC)


@cache
def _departures(csv_path: Path) -> list[Departure]:
    """The flights that have a departure time."""
    header, *rows = csv.reader(io.StringIO(_text(csv_path), newline=""))
    names = ("dep_time", "time_hour", "carrier", "distance", "arr_delay")
    values_of = itemgetter(*map(header.index, names))
    departures = []
    for dep_time, time_hour, carrier, distance, arr_delay in map(values_of, rows):
        if dep_time != "NA":
            scheduled = datetime.fromisoformat(time_hour)
            delay = None if arr_delay == "NA" else int(arr_delay)
            departures.append(Departure(scheduled, carrier, int(distance), delay))
    return departures


def _text(csv_path: Path) -> str:
    if csv_path.suffix != ".zip":
        return csv_path.read_text(encoding="utf-8")
    with zipfile.ZipFile(csv_path) as archive:
        (name,) = archive.namelist()
        return archive.read(name).decode("utf-8")


def _mean(minutes: list[int]) -> Decimal | None:
    """The mean to two decimals, halves away from zero."""
    if not minutes:
        return None
    mean = Fraction(sum(minutes), len(minutes))
    hundredths = math.floor(abs(mean) * 100 + Fraction(1, 2))
    return Decimal(hundredths if mean >= 0 else -hundredths).scaleb(-2)
