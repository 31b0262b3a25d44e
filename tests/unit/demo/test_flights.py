import csv
import datetime as dt
import io
import zipfile
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from demo import flights

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return flights.read_flights()


@pytest.mark.ci
def test_values_are_those_in_the_csv(table: pa.Table) -> None:
    """Every value of every eleventh flight, by Python's own reader."""
    with zipfile.ZipFile(flights.archive_path()) as archive:
        header, *raw = csv.reader(io.StringIO(archive.read("flights.csv").decode()))
    assert header == table.column_names
    assert len(raw) == table.num_rows == 336_776
    sample = table.take(pa.array(range(0, len(raw), 11)))
    for name, expected in zip(header, zip(*raw[::11], strict=True), strict=True):
        assert as_printed(sample[name].to_pylist()) == list(expected), name


def as_printed(values: list[Any]) -> list[str]:
    if isinstance(values[0], dt.datetime):
        return [value.isoformat() + "Z" for value in values]
    assert "NA" not in values  # as a text it could not be told from NULL below
    return ["NA" if value is None else str(value) for value in values]


def test_numbers_are_int32_and_timestamps_have_no_zone(table: pa.Table) -> None:
    assert table.schema == flights.SCHEMA
    assert {str(field.type) for field in table.schema} == {"int32", "string", "timestamp[ms]"}


def test_time_hour_is_the_scheduled_departure_in_utc(table: pa.Table) -> None:
    columns = ["time_hour", "year", "month", "day", "hour"]
    distinct = table.select(columns).group_by(columns).aggregate([])
    hours: list[Any] = list(zip(*(distinct[name].to_pylist() for name in columns), strict=True))
    assert len(hours) > 365 * 12
    for time_hour, *local in hours:
        at = time_hour.replace(tzinfo=dt.UTC).astimezone(NEW_YORK)
        assert [at.year, at.month, at.day, at.hour] == local
    assert {at.replace(tzinfo=dt.UTC).astimezone(NEW_YORK).utcoffset() for at, *_ in hours} == {
        dt.timedelta(hours=-5),
        dt.timedelta(hours=-4),
    }


@pytest.mark.ci
def test_partitions_tile_the_flights_by_utc_date_in_the_order_of_the_csv(table: pa.Table) -> None:
    numbered = table.append_column("line", pa.array(range(table.num_rows)))
    parts = list(flights.partitions(numbered))
    days = [day for day, _ in parts]
    assert days == [dt.date(2013, 1, 1) + dt.timedelta(days=n) for n in range(366)]
    for day, part in parts:
        assert part["time_hour"].cast(pa.date32()).unique().to_pylist() == [day]
        lines: list[Any] = part["line"].to_pylist()
        assert lines == sorted(lines)
    assert pa.concat_tables(part for _, part in parts).sort_by("line").equals(numbered)
