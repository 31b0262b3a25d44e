"""Which partitions can hold the events of a period, held against clocks read one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from athena_reports import Input
from athena_reports.errors import ReportError
from tests.unit.athena_reports.inputs.clocks import (
    ROUNDS,
    Case,
    KeysOfTime,
    hours_on_a_clock,
    random_case,
    some_layouts,
)


def assert_partitions(case: Case, keys: KeysOfTime) -> None:
    layout = keys.source(zone=case.zone).layout
    start, end = case.period.start_utc, case.period.end_utc + case.late_by
    hours = hours_on_a_clock(case.zone, start, end)
    expected = list(dict.fromkeys(map(keys.values, hours)))
    assert layout.partitions(start, end) == expected, (case, str(keys))


@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_the_partitions_are_those_whose_hours_a_clock_shows(seeds: range) -> None:
    cases = [random_case(seed) for seed in seeds]
    assert len({case.zone for case in cases}) > min(len(seeds) / 2, 400)
    for case in cases:
        for keys in some_layouts(case.seed):
            assert_partitions(case, keys)


# --- formats

# The values of the partition that holds 3:00 on 2 January 2025.
EXAMPLES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # Keys that need no format.
    ({}, ("2025-01-02",)),
    ({"kind": "date"}, ("2025-01-02",)),
    ({"kind": "integer"}, ("20250102",)),
    ({"columns": "Day"}, ("2025-01-02",)),
    ({"columns": "date"}, ("2025-01-02",)),
    ({"columns": "year"}, ("2025",)),
    ({"columns": ("dt", "hour")}, ("2025-01-02", "03")),
    ({"columns": ("day", "hour"), "kind": "integer"}, ("20250102", "3")),
    ({"columns": ("Year", "MONTH")}, ("2025", "01")),
    ({"columns": ("year", "month", "day")}, ("2025", "01", "02")),
    ({"columns": ("year", "month", "day", "hour"), "kind": "integer"}, ("2025", "1", "2", "3")),
    # A format of one key.
    ({"format": "%Y/%m/%d"}, ("2025/01/02",)),
    ({"format": "%d.%m.%Y"}, ("02.01.2025",)),
    ({"format": "%Y-%-m-%-d"}, ("2025-1-2",)),
    ({"format": "%Y-%m"}, ("2025-01",)),
    ({"format": "%Y%m", "kind": "integer"}, ("202501",)),
    ({"format": "%Y"}, ("2025",)),
    ({"format": "%Y/%m/%d/%H"}, ("2025/01/02/03",)),
    ({"format": "%-H h, %d %m %Y"}, ("3 h, 02 01 2025",)),
    # Of several keys, in any order.
    ({"columns": ("y", "m"), "format": ("%Y", "%-m")}, ("2025", "1")),
    ({"columns": ("month", "dt"), "format": ("%Y-%m", "%Y-%m-%d")}, ("2025-01", "2025-01-02")),
    ({"columns": ("hour", "dt"), "format": ("%H", "%Y%m%d")}, ("03", "20250102")),
    (
        {"columns": ("dt", "hour"), "kind": ("date", "integer")},
        ("2025-01-02", "3"),
    ),
]


@pytest.mark.parametrize(("fields", "values"), EXAMPLES, ids=str)
def test_an_example_of_each_format(fields: dict[str, Any], values: tuple[str, ...]) -> None:
    layout = Input("plays", **fields).layout
    start = datetime(2025, 1, 2, 3, tzinfo=UTC)
    assert layout.partitions(start, start + timedelta(minutes=59)) == [values]
    assert layout.has_hours == any("H" in key.format for key in layout.keys)


NOT_SUPPORTED = (
    " in the format of key dt is not supported. Use %Y, %m, %d and %H, or %-m, %-d and %-H without"
    " leading zeros. To read a table by weeks, omit the Input and filter only by period.contains."
)
NO_TIME = (
    "the formats must contain the year, then month, day and hour down to the partition's unit, such"
    " as %Y-%m-%d or %Y-%m."
)


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"format": "%G-W%V"}, "format", f"'%G'{NOT_SUPPORTED}"),
        ({"format": "%Y%-m%-d"}, "format", "%-m in the format of key dt is ambiguous. Use %m."),
        ({"format": "%-d2%m-%Y"}, "format", "%-d in the format of key dt is ambiguous"),
        ({"format": "%Y/%m/%d/%H/%M"}, "format", "'%M' in the format of key dt is not supported"),
        *(
            ({"format": format}, "format", "in the format of key dt is not supported")
            for format in ("%F", "%Y-%j", "%y%m%d", "%Y%%", "%Y-%", "%Y-%m-%d %p", "%-Y", "x", "")
        ),
        (
            {"columns": ("dt", "hour"), "format": ("%Y-%m-%d", "x")},
            "format",
            "'x' in the format of key hour",
        ),
        *(
            ({"format": format}, "format", NO_TIME)
            for format in ("%m-%d", "%Y-%d", "%d", "%Y-%H", "%Y-%m-%H", "%H")
        ),
        ({"columns": ("m", "d"), "format": ("%m", "%d")}, "format", NO_TIME),
        (
            {"kind": "integer", "format": "%Y-%m-%d"},
            "format",
            "the key dt is an integer. Use a format of digits only, such as %Y%m%d.",
        ),
        ({"kind": "date", "format": "%d.%m.%Y"}, "format", "the key dt is a date. Use %Y-%m-%d."),
        (
            {"columns": ("dt", "hour"), "format": "%Y"},
            "format",
            "expected one format and one kind for each key: dt, hour.",
        ),
        ({"columns": ("dt", "hour"), "kind": ["date"]}, "columns", "one kind for each key"),
        (
            {"columns": ("ds", "region"), "kind": "integer"},
            "columns",
            "no default format for ds, region. Set the format of each key, such as"
            ' format="%Y%m%d" or format=("%Y-%m-%d", "%H"), and omit keys that are not dates'
            " or times.",
        ),
        *(
            ({"columns": columns}, "columns", "no default format for")
            for columns in (
                *("ds", "month", "hour", ("dt", "region")),
                *(("month", "year"), ("year", "day"), ("month", "day"), ("dt", "hour", "minute")),
                *(("y", "m", "d"), ("dt", "dt"), tuple("abcde")),
            )
        ),
    ],
)
def test_what_tells_no_time_is_refused_with_what_to_write(
    fields: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(ReportError) as refused:
        Input("plays", **fields)
    assert str(refused.value).startswith(f"Input 'plays', field '{field}': ")
    assert problem in str(refused.value)
