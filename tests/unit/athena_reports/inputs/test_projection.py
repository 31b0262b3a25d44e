"""What a partition projection writes and reaches, and what is refused of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.inputs.date_pattern import DatePattern
from athena_reports.inputs.projection import Projection
from athena_reports.inputs.source_table import SourceTable
from tests.unit.athena_reports.inputs.glue_tables import create_table, followed

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

NOW = datetime(2025, 6, 21, 13, 9, 30, tzinfo=UTC)
RANGE = {"range": "2025-01-01,NOW"}


def projection(key: str = "dt", **parameters: str) -> Projection:
    names = {f"projection.{key}.{name}": value for name, value in parameters.items()}
    found = Projection.of("lake.plays", {"projection.enabled": " TRUE ", **names})
    assert found is not None
    return found


@pytest.mark.parametrize("enabled", [None, "", "false", "yes"])
def test_a_table_without_projection_has_none(enabled: str | None) -> None:
    parameters = {"projection.dt.type": "date"}
    if enabled is not None:
        parameters["projection.enabled"] = enabled
    assert Projection.of("lake.plays", parameters) is None


# --- how keys are written


@pytest.mark.parametrize(
    ("types", "fields", "parameters"),
    [
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "yyyyMMdd"}),
        ({"dt": "string"}, {}, {"dt__type": " Date ", "dt__format": "yyyy/MM/dd/HH"}),
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "d'.'M'.'uuuu"}),
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "yyyy'-W''-'MM-dd"}),
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "yyyy/yyyy-MM"}),
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "yyyy-MM-dd H"}),
        ({"dt": "string"}, {}, {"dt__type": "date", "dt__format": "yyyy''MM'%'dd"}),
        ({"dt": "int"}, {"kind": "integer"}, {"dt__type": "date", "dt__format": "yyyyMMddHH"}),
        ({"dt": "string"}, {"format": "%Y%-m"}, {"dt__type": "date", "dt__format": "yyyyMM"}),
        (
            {"dt": "string"},
            {"format": "%Y%m%d%-H"},
            {"dt__type": "integer", "dt__digits": "10", "dt__range": "1,2"},
        ),
        (
            {"year": "string", "month": "string"},
            {"columns": ("year", "month")},
            {"year__type": "integer", "month__type": "integer"},
        ),
        (
            {"year": "string", "month": "string"},
            {"columns": ("year", "month"), "format": ("%Y", "%-m")},
            {"year__type": "integer", "month__type": "integer", "month__digits": " 2 "},
        ),
        (
            {"dt": "string", "hour": "string"},
            {"columns": ("dt", "hour"), "format": ("%F", "%H")},
            {"dt__type": "date", "dt__format": "yyyy/MM/dd", "hour__type": "integer"},
        ),
        *(
            (
                {"year": "string", "part": "string"},
                {"columns": ("year", "part"), "format": (year, part)},
                {"part__type": "integer"},
            )
            for year, part in (("%Y", "%j"), ("%Y", "%U"), ("%Y", "%W"), ("%G", "%V"))
        ),
    ],
)
def test_another_form_is_refused_with_the_format_that_is_right(
    glue: GlueClient,
    database: str,
    types: dict[str, str],
    fields: dict[str, Any],
    parameters: dict[str, str],
) -> None:
    """Until each key is written as the projection writes it."""
    create_table(glue, database, types, **parameters)
    source = Input("plays", **fields)
    refusals = 0
    while True:
        try:
            SourceTable.read(source, database, glue)
        except InputError as refused:
            advice = str(refused)
            assert "its partition projection writes" in advice
            source = followed(advice, fields)
            refusals += 1
            assert refusals <= len(types), advice
        else:
            break
    assert refusals > 0


@pytest.mark.parametrize(
    ("types", "fields", "parameters"),
    [
        ({"dt": "string"}, {}, {"dt__type": "date"}),
        ({"dt": "int"}, {"kind": "integer"}, {"dt__type": "date", "dt__format": "yyyyMMdd"}),
        # An integer of Glue has no zeros, however the projection writes it.
        (
            {"year": "int", "month": "int"},
            {"columns": ("year", "month"), "kind": "integer"},
            {"year__type": "integer", "month__type": "integer", "month__digits": "2"},
        ),
    ],
)
def test_the_form_of_the_input_is_accepted(
    glue: GlueClient,
    database: str,
    types: dict[str, str],
    fields: dict[str, Any],
    parameters: dict[str, str],
) -> None:
    create_table(glue, database, types, **parameters)
    assert SourceTable.read(Input("plays", **fields), database, glue).projection is not None


@pytest.mark.parametrize(
    ("types", "fields", "parameters", "says"),
    [
        (
            {"dt": "string"},
            {},
            {"dt__type": "date", "dt__format": "dd-MMM-yyyy"},
            "writes dt as 'dd-MMM-yyyy', and 'MMM' is not known here. Leave the Input out",
        ),
        (
            {"dt": "string"},
            {},
            {"dt__type": "date", "dt__format": "yyyy-MM-dd-HH-mm"},
            "'mm' is not known here",
        ),
        (
            {"dt": "int"},
            {"kind": "integer"},
            {"dt__type": "date", "dt__format": "yyyy-MM-dd"},
            "writes dt as '2025-01-02', which is not of its type in Glue (integer)",
        ),
        (
            {"dt": "date"},
            {"kind": "date"},
            {"dt__type": "date", "dt__format": "yyyy/MM/dd"},
            "writes dt as '2025/01/02', which is not of its type in Glue (date). Correct the table."
            " Until then: leave the Input out, and filter by period.contains alone.",
        ),
        (
            {"dt": "string"},
            {},
            {"dt__type": "integer", "dt__range": "20250101,20251231"},
            "writes dt as an integer, and the report's input as '2025-01-02'."
            ' Write format= with digits alone, such as format="%Y%m%d".',
        ),
        (
            {"year": "string", "month": "string"},
            {"columns": ("year", "month")},
            {"month__type": "integer", "month__digits": "4"},
            "writes month as '0001', the report's input as '01'. No format= writes it so. Leave the"
            " Input out, and filter by period.contains alone.",
        ),
        (
            {"year": "string", "month": "string"},
            {"columns": ("year", "month")},
            {"month__type": "integer", "month__digits": "two"},
            "projection.month.digits is 'two'. Correct the table's parameters",
        ),
    ],
)
def test_what_no_format_writes_is_refused(
    glue: GlueClient,
    database: str,
    types: dict[str, str],
    fields: dict[str, Any],
    parameters: dict[str, str],
    says: str,
) -> None:
    create_table(glue, database, types, **parameters)
    with pytest.raises(InputError) as refused:
        SourceTable.read(Input("plays", **fields), database, glue)
    assert says in str(refused.value)
    assert f"{database}.plays" in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "text", "finest"),
    [
        ("yyyy-MM-dd", "2025-01-02", "day"),
        ("uuuu/M/d H", "2025/1/2 3", "hour"),
        ("yyyyMMdd HH", "20250102 03", "hour"),
        ("yyyy''MM'%'dd", "2025'01%02", "day"),
        ("'day' d 'of' M/yyyy", "day 2 of 1/2025", "day"),
        ("MM.yyyy", "01.2025", "month"),
        ("yyyy", "2025", "year"),
        ("'all'", "all", None),
    ],
)
def test_a_pattern_of_java_is_written_and_read(pattern: str, text: str, finest: str | None) -> None:
    parsed = DatePattern.parse(pattern)
    moment = datetime(2025, 1, 2, 3, tzinfo=UTC)
    assert (moment.strftime(parsed.format), parsed.finest) == (text, finest)
    beginnings = {
        "hour": moment,
        "day": datetime(2025, 1, 2, tzinfo=UTC),
        "month": datetime(2025, 1, 1, tzinfo=UTC),
        "year": datetime(2025, 1, 1, tzinfo=UTC),
    }
    assert parsed.read(text) == beginnings.get(finest or "", datetime(1970, 1, 1, tzinfo=UTC))


# --- which values there are


@pytest.mark.parametrize(
    ("parameters", "inside", "outside"),
    [
        (RANGE, ["2025-01-01", "2025-06-21"], ["2024-12-31", "2025-06-22"]),
        # The date in which the bound lies counts, whatever the time is.
        ({"range": "NOW-7DAYS,NOW+1DAY"}, ["2025-06-14", "2025-06-22"], ["2025-06-13"]),
        ({"range": " 2025-06-01 , NOW - 2 weeks "}, ["2025-06-07"], ["2025-06-08"]),
        ({"range": "NOW-1MONTH,now"}, ["2025-05-21"], ["2025-05-20"]),
        ({"range": "NOW-1YEARS,NOW-90SECONDS"}, ["2024-06-20"], ["2024-06-19"]),
        # To the first second of the day, and to the last one of the day before.
        ({"range": "NOW-47370SECONDS,NOW"}, ["2025-06-21"], ["2025-06-20"]),
        ({"range": "NOW-47371SECONDS,NOW"}, ["2025-06-20"], ["2025-06-19"]),
        ({"range": "NOW-789MINUTES,NOW"}, ["2025-06-21"], ["2025-06-20"]),
        ({"range": "NOW-790MINUTES,NOW"}, ["2025-06-20"], ["2025-06-19"]),
        ({"range": "NOW-13HOURS,NOW"}, ["2025-06-21"], ["2025-06-20"]),
        ({"range": "NOW-14HOURS,NOW"}, ["2025-06-20"], ["2025-06-19"]),
        *(
            ({**RANGE, "interval": interval, "interval.unit": unit}, ["2025-01-03"], ["2025-01-02"])
            for interval, unit in (
                ("48", "HOURS"),
                ("2880", "MINUTES"),
                ("172800", "SECONDS"),
                ("172800000", "MILLISECONDS"),
            )
        ),
        ({"format": "yyyy-M-d", "range": "2025-1-2,NOW"}, ["2025-6-1"], ["2025-1-1"]),
        (
            {**RANGE, "interval": " 2 ", "interval.unit": "days"},
            ["2025-01-01", "2025-01-03", "2025-03-02"],
            ["2025-01-02", "2025-03-01"],
        ),
        (
            {**RANGE, "interval": "1", "interval.unit": "Week"},
            ["2025-01-08"],
            ["2025-01-02", "2025-01-07"],
        ),
        (
            {**RANGE, "interval": "1", "interval.unit": "WEEKS"},
            ["2025-01-08"],
            ["2025-01-02", "2025-01-07"],
        ),
        (
            {**RANGE, "interval.unit": "MONTHS"},
            ["2025-01-01", "2025-06-01"],
            ["2025-06-02"],
        ),
        # A moving first date moves the others with it.
        ({"range": "NOW-30DAYS,NOW", "interval": "2"}, ["2025-06-20", "2025-06-21"], []),
        # In some months there is no such day.
        ({"range": "2025-01-31,NOW", "interval.unit": "MONTHS"}, ["2025-02-28"], ["2025-01-30"]),
        ({"range": "2025-01-28,NOW", "interval.unit": "MONTHS"}, ["2025-02-28"], ["2025-02-27"]),
        (
            {"format": "yyyyMMddHH", "range": "2025010103,NOW", "interval.unit": "MONTHS"},
            ["2025020103"],
            ["2025020104", "2025020203"],
        ),
        (
            {"format": "yyyy-MM", "range": "2024-11,2025-05", "interval": "3"},
            ["2024-11", "2025-02", "2025-05"],
            ["2025-01", "2025-08", "2024-08"],
        ),
        # An interval that a year is not made of.
        (
            {"format": "yyyy-MM", "range": "2024-11,2026-12", "interval": "5"},
            ["2024-11", "2025-04", "2025-09", "2026-02"],
            ["2025-03", "2025-11", "2026-04", "2026-03"],
        ),
        (
            {"format": "yyyy", "range": "2020,2030", "interval": "3"},
            ["2020", "2023", "2026"],
            ["2021", "2022", "2025"],
        ),
        (
            {"format": "yyyy", "range": "2020,NOW", "interval": "2"},
            ["2020", "2024"],
            ["2021", "2025", "2026"],
        ),
        (
            {"format": "yyyy/MM/dd/HH", "range": "2025/06/01/00,NOW", "interval.unit": "HOURS"},
            ["2025/06/01/00", "2025/06/21/13"],
            ["2025/05/31/23", "2025/06/21/14"],
        ),
        (
            {
                "format": "yyyy/MM/dd/HH",
                "range": "2025/06/01/01,NOW",
                "interval": "6",
                "interval.unit": "HOURS",
            },
            ["2025/06/01/07", "2025/06/02/01"],
            ["2025/06/01/06", "2025/06/02/00"],
        ),
        (
            {"format": "yyyy/yyyy-MM-dd", "range": "2025/2025-06-01,NOW"},
            ["2025/2025-06-21"],
            ["2025/2025-05-31"],
        ),
    ],
)
def test_dates_are_reached_by_range_and_interval(
    parameters: dict[str, str], inside: list[str], outside: list[str]
) -> None:
    dates = projection(type="date", **parameters)
    for now in (NOW, NOW.astimezone(timezone(timedelta(hours=14)))):
        assert [value for value in inside if not dates.reaches({"dt": value}, now)] == []
        assert [value for value in outside if dates.reaches({"dt": value}, now)] == []


@pytest.mark.parametrize(
    ("parameters", "inside", "outside"),
    [
        ({"type": "integer", "range": "0,23"}, ["0", "00", "23"], ["24", "-1", "x", ""]),
        ({"type": " INTEGER ", "range": " -5 , 0010 "}, ["-5", "10"], ["11", "-6"]),
        ({"type": "integer", "range": "1,9", "interval": "4"}, ["1", "5", "9"], ["4", "8"]),
        # White space is part of a value.
        ({"type": "enum", "values": "jp, us"}, ["jp", " us"], ["us", "JP", "jp, us"]),
        ({"type": "enum", "values": ""}, [""], ["jp"]),
        ({"type": "injected"}, ["anything"], []),
    ],
)
def test_other_types_are_reached_by_their_values(
    parameters: dict[str, str], inside: list[str], outside: list[str]
) -> None:
    values = projection(**parameters)
    assert [value for value in inside if not values.reaches({"dt": value}, NOW)] == []
    assert [value for value in outside if values.reaches({"dt": value}, NOW)] == []


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"type": "date"}, "projection.dt.range is missing"),
        ({"type": "date", "range": ""}, "projection.dt.range is ''"),
        ({"type": "date", "range": "2025-01-01"}, "projection.dt.range is '2025-01-01'"),
        ({"type": "date", "range": "2025-01-01,NOW,NOW"}, "projection.dt.range is"),
        ({"type": "date", "range": "yesterday,NOW"}, "the range or value 'yesterday'"),
        ({"type": "date", "range": "2025-02-30,NOW"}, "the range or value '2025-02-30'"),
        ({"type": "date", "range": "2025-01-01T00,NOW"}, "the range or value '2025-01-01T00'"),
        (
            {"type": "date", "format": "yyyy.MM.dd", **RANGE},
            "value '2025-06-01' of dt, which is not of the form 'yyyy.MM.dd'",
        ),
        ({"type": "date", "range": "NOW-9999YEARS,NOW"}, "value 'NOW-9999YEARS'"),
        ({"type": "date", **RANGE, "interval": "0"}, "projection.dt.interval is '0'"),
        ({"type": "date", **RANGE, "interval": "x"}, "projection.dt.interval is 'x'"),
        ({"type": "date", **RANGE, "interval": "-1"}, "projection.dt.interval is '-1'"),
        ({"type": "date", **RANGE, "interval.unit": "EONS"}, "interval.unit is 'EONS'"),
        ({"type": "integer"}, "projection.dt.range is missing. Correct the table's parameters"),
        ({"type": "integer", "range": "1"}, "projection.dt.range is '1'"),
        ({"type": "integer", "range": "1,x"}, "projection.dt.range is '1,x'"),
        ({"type": "integer", "range": "1,9999999999", "interval": "0"}, "interval is '0'"),
        ({"type": "enum"}, "projection.dt.values is missing"),
    ],
)
def test_parameters_that_cannot_be_read_are_named(parameters: dict[str, str], says: str) -> None:
    value = "2025" if parameters["type"] == "integer" else "2025-06-01"
    with pytest.raises(InputError) as refused:
        projection(**parameters).reaches({"dt": value}, NOW)
    assert says in str(refused.value)
    assert "lake.plays" in str(refused.value)


def test_hours_without_the_unit_of_their_interval_are_refused() -> None:
    """Athena takes a unit by itself for days and months alone."""
    hours = projection(type="date", format="yyyy-MM-dd-HH", range="2025-01-01-00,NOW")
    with pytest.raises(InputError, match=r"interval\.unit is missing.*such as 'HOURS'"):
        hours.reaches({"dt": "2025-06-01-00"}, NOW)


# --- folders


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        (
            "s3://raw/${day}/${hour}/${region}",
            {"day": "2025/06/21", "hour": "3"},
            {
                "day=2025/06/21/hour=3/region=jp": "s3://raw/2025/06/21/03/jp",
                "day=2025/06/21/hour=3/region=us": "s3://raw/2025/06/21/03/us",
            },
        ),
        (
            None,
            {"day": "2025/06/21", "hour": "12", "region": "us"},
            {
                "day=2025/06/21/hour=12/region=us": (
                    "s3://lake/plays/day=2025/06/21/hour=12/region=us/"
                )
            },
        ),
        # Glue has the names of keys in lower case, and a template as it was written.
        (
            "s3://raw/${Day}/${HOUR}/${other}",
            {"day": "2025/06/21", "hour": "3", "region": "us"},
            {"day=2025/06/21/hour=3/region=us": "s3://raw/2025/06/21/03/${other}"},
        ),
        # A name has the values that are known first, as those of registered partitions have.
        (
            None,
            {"region": "us", "hour": "3", "day": "2025/06/21"},
            {
                "region=us/hour=3/day=2025/06/21": (
                    "s3://lake/plays/day=2025/06/21/hour=03/region=us/"
                )
            },
        ),
        # Of the hour any value could be meant.
        ("s3://raw/${day}/${hour}/${region}", {"day": "2025/06/21", "region": "us"}, {}),
    ],
)
def test_folders_are_those_that_athena_reads(
    template: str | None, values: dict[str, str], expected: dict[str, str]
) -> None:
    parameters = {
        "projection.enabled": "true",
        "projection.day.type": "date",
        "projection.hour.type": "integer",
        "projection.hour.digits": "2",
        "projection.region.type": "enum",
        "projection.region.values": "jp,us",
    }
    if template is not None:
        parameters["storage.location.template"] = template
    found = Projection.of("lake.plays", parameters)
    assert found is not None
    assert found.folders(values, ["day", "hour", "region"], "s3://lake/plays/") == expected


def test_a_placeholder_may_name_a_key_of_any_characters() -> None:
    parameters = {"projection.enabled": "true", "storage.location.template": "s3://a/${event day}/"}
    found = Projection.of("lake.plays", parameters)
    assert found is not None
    folders = found.folders({"event day": "2025-06-21"}, ["event day"], "")
    assert folders == {"event day=2025-06-21": "s3://a/2025-06-21/"}
