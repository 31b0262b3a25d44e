"""The declaration of a table that a report reads: which partitions it may have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.periods.calendar import Cadence, weekly, yearly


@pytest.mark.parametrize(
    ("fields", "named", "says"),
    [
        ({"columns": ("month", "year")}, "columns", "another order than year, month. Give"),
        ({"columns": ("year", "hour", "day")}, "columns", "order than year, day, hour. Give"),
        ({"columns": ("day", "month")}, "columns", "another order than month, day. Give"),
        (
            {"columns": ("Year", "DAY")},
            "columns",
            "the keys Year, DAY have no default format. Write the format of each, such as"
            ' format=("%Y-%m-%d", "%H"), and leave out keys that tell no time.',
        ),
        ({"columns": ("dt", "region")}, "columns", "the keys dt, region have no default format."),
        ({"columns": ("y", "m", "d")}, "columns", 'such as format=("%Y", "%m", "%d"), and leave'),
        ({"columns": ("dt", "hour", "minute")}, "columns", "the keys dt, hour, minute have no"),
        ({"columns": ("month", "day")}, "columns", "the keys month, day have no default format."),
        (
            {"columns": "ds"},
            "columns",
            'the key ds has no default format. Write it, such as format="%Y-%m-%d".',
        ),
        ({"columns": "ymd", "kind": "integer"}, "columns", 'such as format="%Y%m%d".'),
        ({"columns": "month"}, "columns", "the key month has no default format."),
        ({"columns": "hour"}, "columns", "the key hour has no default format."),
        ({"columns": ("dt", "dt")}, "columns", "name each partition key once"),
        ({"columns": tuple("abcde")}, "columns", "the keys a, b, c, d, e have no default"),
        ({"columns": ("dt", "hour"), "format": "%Y"}, "format", "1 for the 2 keys dt, hour"),
        ({"columns": ("dt", "hour"), "kind": ["date"]}, "columns", "1 for the 2 keys dt, hour"),
        (
            {"kind": "integer", "format": "%Y-%m-%d"},
            "format",
            "the key dt is of kind 'integer', and its format '%Y-%m-%d' gives texts such as"
            " '2025-01-02'.",
        ),
        ({"kind": "date", "format": "%d.%m.%Y"}, "format", "texts such as '02.01.2025'"),
        ({"format": "%Y-%H"}, "format", "2024-01-01 00:00 and 2024-01-02 00:00 are both '2024-00'"),
        (
            {"format": "%Y-%d-%H"},
            "format",
            "2024-01-01 00:00 and 2024-02-01 00:00 are both '2024-01-00'",
        ),
        ({"only": {"dt": ["2025-01-01"]}}, "only", "'dt' tells the time already"),
        (
            {"columns": ("dt", "hour"), "format": ("%F", "%H"), "only": {"hour": ["01"]}},
            "only",
            "'hour' tells the time already",
        ),
        (
            {"only": {"region": "jp"}},
            "only",
            "give the values of 'region' in a list, each once: ['jp', 'us']",
        ),
        ({"only": {"region": []}}, "only", "give the values of 'region' in a list"),
        ({"only": {"region": ["jp", "jp"]}}, "only", "each once"),
        ({"only": {"region": [1.5]}}, "only", "1.5 is not valid"),
        ({"of": "raw.lake.plays"}, "of", "such as 'plays' or 'raw.plays'"),
        ({"zone": "Asia/Tokio"}, "zone", "Asia/Tokyo"),
        ({"kind": "varchar"}, "kind", "'string', 'date' or 'integer'"),
        ({"missing": "ignore"}, "missing", "'fail' or 'partial'"),
        ({"mising": "fail"}, "mising", "Did you mean missing?"),
        ({"xyz": 1}, "xyz", "there is no such field. Did you mean "),
        ({"format": "%Y/%m/%d/%H/%M"}, "format", "a directive finer than an hour"),
        ({"format": "%Y-%m-%d %p"}, "format", "it does not name the hour: 2024-01-01 00:00 and"),
        ({"format": "x"}, "format", "2024-01-01 and 2025-01-01 are both 'x'"),
        (
            {"format": "%Y-%d"},
            "format",
            "it does not name the day, month or year of a date: 2024-01-01 and 2024-02-01 are both"
            " '2024-01'. Name the year, and what lies between it and the day, as in %Y-%m-%d or"
            " %Y-%m.",
        ),
        ({"format": "%m-%d"}, "format", "Name the year"),
        ({"format": "%d"}, "format", "Name the year"),
        ({"wait": 6}, "wait", "Input should be a valid timedelta"),
        ({"wait": timedelta(0)}, "wait", "give more than zero, such as timedelta(hours=6)"),
        ({"wait": timedelta(hours=-1)}, "wait", "give more than zero"),
        (
            {"done": "s3://lake/{date}"},
            "done",
            "it is looked for only by a run that waits. Give wait=timedelta(hours=6) too, or leave"
            " it out.",
        ),
        *(
            (
                {"done": address, "wait": timedelta(hours=6)},
                "done",
                "with {date} once in its key and no other braces, such as"
                " 's3://lake/plays/dt={date}/_SUCCESS'",
            )
            for address in (
                "s3://lake/plays/_SUCCESS",
                "s3://lake/{date}/{date}",
                "s3://lake/{period}/{date}",
                "s3://lake-{date}/_SUCCESS",
                "s3://{date}",
                "s3://lake/plays/dt={date}/",
                "s3://lake/plays/dt={}/_SUCCESS",
                "https://lake/{date}",
                "/plays/{date}",
            )
        ),
    ],
)
def test_an_input_that_cannot_be_names_the_field(
    fields: dict[str, Any], named: str, says: str
) -> None:
    with pytest.raises(InputError, match=f"Input 'plays', field '{named}'") as caught:
        Input("plays", **fields)
    assert says in str(caught.value)
    assert ".." not in str(caught.value)  # a sentence ends with one full stop
    assert "Value error" not in str(caught.value)  # which are pydantic's words


@pytest.mark.parametrize(
    "format",
    [
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%Y%m%d",
        "%d.%m.%y",
        "%Y-%m",
        "%Y",
        "%G-W%V",
        "%Y-%j",
        "%Y/%m/%d/%H",
        "%-H h, %F",
    ],
)
def test_an_input_may_have_partitions_of_an_hour_or_longer(format: str) -> None:
    assert Input("plays", format=format).format == format


@pytest.mark.parametrize(
    ("fields", "formats"),
    [
        ({}, ["%Y-%m-%d"]),
        ({"kind": "date"}, ["%Y-%m-%d"]),
        ({"kind": "integer"}, ["%Y%m%d"]),
        ({"columns": "date"}, ["%Y-%m-%d"]),
        ({"columns": "Day"}, ["%Y-%m-%d"]),
        ({"columns": "year"}, ["%Y"]),
        ({"columns": ["dt", "hour"]}, ["%Y-%m-%d", "%H"]),
        ({"columns": ["day", "hour"], "kind": "integer"}, ["%Y%m%d", "%H"]),
        ({"columns": ["Year", "MONTH"]}, ["%Y", "%m"]),
        ({"columns": ["year", "month", "day"]}, ["%Y", "%m", "%d"]),
        (
            {"columns": ["year", "month", "day", "hour"], "kind": "integer"},
            ["%Y", "%m", "%d", "%H"],
        ),
        ({"columns": ["dt", "hour"], "format": ["%F", "%H"]}, ["%F", "%H"]),
    ],
)
def test_keys_have_usual_formats(fields: dict[str, Any], formats: list[str]) -> None:
    assert [key.format for key in Input("plays", **fields).layout.keys] == formats


def test_an_input_is_the_same_whether_it_is_declared_with_lists_or_tuples() -> None:
    regions = ["jp", "us"]

    def declared(of: Any) -> Input:
        return Input(
            "plays",
            of(["dt", "hour"]),
            format=of(["%F", "%H"]),
            kind=of(["string", "integer"]),
            only={"region": regions if of is list else of(regions)},
        )

    first, second = declared(list), declared(tuple)
    assert first == second
    assert len({first, second}) == 1
    regions.append("de")
    assert first.only == {"region": ("jp", "us")}
    with pytest.raises(TypeError):
        first.only["region"] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "fields", "table", "field"),
    [
        (("plays", ("month", "year")), {}, "'plays'", "columns"),
        (("plays", ("dt", "dt")), {}, "'plays'", "columns"),
        (("plays", "dt"), {"zone": "Asia/Tokio"}, "'plays'", "zone"),
        ((), {"table": "plays", "columns": ("month", "year")}, "'plays'", "columns"),
        ((), {"zone": "UTC"}, "None", "table"),
        ((), {}, "None", "table"),
    ],
)
def test_a_mistake_names_the_table_as_far_as_there_is_one(
    arguments: tuple[Any, ...], fields: dict[str, Any], table: str, field: str
) -> None:
    with pytest.raises(InputError, match=f"^Input {table}, field '{field}': "):
        Input(*arguments, **fields)


@pytest.mark.parametrize(
    ("cadence", "fields", "expected"),
    [
        (weekly("sunday"), {}, ["2025-06-22"]),
        (weekly("sunday"), {"previous": True}, ["2025-06-15", "2025-06-22"]),
        (weekly("sunday"), {"last_year": True}, ["2024-06-23", "2025-06-22"]),
        (
            weekly("sunday"),
            {"previous": True, "last_year": True},
            ["2024-06-23", "2025-06-15", "2025-06-22"],
        ),
        (yearly(), {"previous": True, "last_year": True}, ["2024", "2025"]),
    ],
)
def test_the_periods_that_are_read_come_in_time_and_each_once(
    cadence: Cadence, fields: dict[str, Any], expected: list[str]
) -> None:
    period = cadence.containing(datetime(2025, 6, 25, tzinfo=UTC))
    periods = Input("plays", **fields).periods_read(period)
    assert [each.id for each in periods] == expected


def test_a_table_without_partitions_has_no_keys() -> None:
    assert not Input("users", columns=()).is_partitioned
    assert Input("users", [], database="other").columns == ()
    assert Input("plays").is_partitioned


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("zone", "Asia/Tokyo"),
        ("format", "%Y-%m"),
        ("kind", "integer"),
        ("only", {"region": ["jp"]}),
        ("previous", True),
        ("last_year", True),
        ("missing", "partial"),
        ("wait", timedelta(hours=6)),
        ("done", "s3://lake/{date}"),
        ("of", "raw.plays"),
    ],
)
def test_an_option_of_partitions_is_refused_without_them(field: str, value: object) -> None:
    options: dict[str, Any] = {field: value}
    with pytest.raises(InputError, match=f"^Input 'users', field '{field}': it has no meaning for"):
        Input("users", columns=(), **options)


@pytest.mark.parametrize(
    ("fields", "partition", "address"),
    [
        ({}, ("2025-06-08",), "s3://lake/plays/dt=2025-06-08/_SUCCESS"),
        (
            {"format": "%Y%m%d", "kind": "integer"},
            ("20250608",),
            "s3://lake/plays/dt=20250608/_SUCCESS",
        ),
        ({"format": "%Y-%m"}, ("2025-06",), "s3://lake/plays/dt=2025-06/_SUCCESS"),
        (
            {"columns": ["y", "m", "d"], "format": ["%Y", "%m", "%d"], "kind": "integer"},
            ("2025", "6", "8"),
            "s3://lake/plays/dt=2025-06-08/_SUCCESS",
        ),
    ],
)
def test_the_date_of_a_done_object_is_that_of_the_partition(
    fields: dict[str, Any], partition: tuple[str, ...], address: str
) -> None:
    wait = {"wait": timedelta(hours=6), "done": "s3://lake/plays/dt={date}/_SUCCESS"}
    assert Input("plays", **fields, **wait).done_object(partition) == address


def test_an_input_without_done_objects_has_no_address_of_one() -> None:
    with pytest.raises(ValueError, match="plays has no done objects"):
        Input("plays").done_object(("2025-06-08",))
