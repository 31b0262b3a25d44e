"""What a partition projection writes and reaches, and what is refused of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.inputs.projection import Projection
from tests.unit.athena_reports.inputs.glue_tables import Lake

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

OF_DATE = {"dt__type": " Date "}
PARTS = ("year", "month", "day")
OF_INTEGERS = {f"{part}__type": "integer" for part in PARTS}


@pytest.mark.parametrize(
    ("keys", "kind", "parameters", "format"),
    [
        ("dt", "string", OF_DATE, "%Y-%m-%d"),
        ("dt", "string", {**OF_DATE, "dt__format": "yyyyMMdd"}, "%Y%m%d"),
        (
            "dt",
            "string",
            {**OF_DATE, "dt__format": "yyyy/MM/dd/HH", "dt__interval__unit": "HOURS"},
            "%Y/%m/%d/%H",
        ),
        ("dt", "string", {**OF_DATE, "dt__format": "d'.'M'.'uuuu"}, "%-d.%-m.%Y"),
        ("dt", "string", {**OF_DATE, "dt__format": "yyyy-MM-dd H"}, "%Y-%m-%d %-H"),
        ("dt", "string", {**OF_DATE, "dt__format": "yyyy-MM"}, "%Y-%m"),
        ("dt", "string", {"dt__type": "integer"}, "%Y%m%d"),
        ("dt", "integer", {**OF_DATE, "dt__format": "yyyyMMddHH"}, "%Y%m%d%H"),
        (PARTS, "string", OF_INTEGERS, ("%Y", "%-m", "%-d")),
        (
            PARTS,
            "string",
            {**OF_INTEGERS, "month__digits": " 2 ", "day__digits": "2"},
            ("%Y", "%m", "%d"),
        ),
    ],
)
def test_a_format_is_that_of_the_projection(
    lake: Lake,
    keys: Any,
    kind: Any,
    parameters: dict[str, str],
    format: str | tuple[str, ...],
) -> None:
    """Another one is refused with the format to write."""
    names = [keys] if isinstance(keys, str) else keys
    types = dict.fromkeys(names, "int" if kind == "integer" else "string")
    lake.create(types, **parameters)
    source = Input("plays", keys, kind=kind, format=format)
    assert lake.read(source).projection is not None

    other: Any = "%Y" if kind == "integer" else "%Y.%m.%d"
    if keys == PARTS:
        other = ("%Y", "%-m", "%d")
    refusal = lake.refusal(Input("plays", keys, kind=kind, format=other))
    assert f"The input {lake.database}.plays: its partition projection formats" in refusal
    written = re.search(r"Set format=(.*)\.$", refusal)
    assert written is not None
    assert eval(written[1]) == format


@pytest.mark.parametrize(
    ("type_", "kind", "parameters"),
    [
        # An integer of Glue has no zeros, however the projection writes it.
        ("int", "integer", {**OF_INTEGERS, "month__digits": "2"}),
        ("string", "string", {"month__type": "enum", "month__values": "01,02"}),
    ],
)
def test_a_format_that_the_projection_leaves_open_is_that_of_the_input(
    lake: Lake, type_: str, kind: Any, parameters: dict[str, str]
) -> None:
    lake.create(dict.fromkeys(PARTS, type_), **parameters)
    lake.read(Input("plays", PARTS, kind=kind))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (
            {"dt__format": "dd-MMM-yyyy"},
            "its partition projection formats dt as 'dd-MMM-yyyy', and 'MMM' is not supported."
            " Omit the Input, and filter only by period.contains.",
        ),
        (
            {"dt__interval": "2", "dt__interval__unit": "days"},
            "its partition projection has an interval of 2 DAY for dt, which is not supported."
            " Omit the Input, and filter only by period.contains.",
        ),
        ({"dt__interval__unit": "WEEKS"}, "an interval of 1 WEEK for dt"),
        (
            {"dt__format": "yyyy/MM/dd"},
            "its partition projection formats dt as '2025/01/02', but the input declares"
            " '2025-01-02'."
            ' Set format="%Y/%m/%d".',
        ),
    ],
)
def test_what_cannot_be_read_is_refused(lake: Lake, parameters: dict[str, str], says: str) -> None:
    lake.create({"dt": "string"}, **OF_DATE, **parameters)
    refusal = lake.refusal(Input("plays"))
    assert refusal.startswith(f"The input {lake.database}.plays: its partition projection")
    assert says in refusal


# --- which values there are


@pytest.mark.parametrize(
    ("parameters", "inside", "outside"),
    [
        (RANGE, ["2025-01-01", "2025-06-21"], ["2024-12-31", "2025-06-22"]),
        # The date in which the bound lies counts, whatever the time is.
        ({"range": "NOW-7DAYS,NOW+1DAY"}, ["2025-06-14", "2025-06-22"], ["2025-06-13"]),
        ({"range": " 2025-06-01 , NOW - 2 weeks "}, ["2025-06-07"], ["2025-06-08"]),
        # A month and a year have their longest length: what Athena may see is not told outside.
        ({"range": "NOW-1MONTH,now"}, ["2025-05-21"], ["2025-05-20"]),
        ({"range": "NOW-1YEARS,NOW-14HOURS"}, ["2024-06-20"], ["2024-06-19"]),
        ({"range": "NOW-14HOURS,NOW"}, ["2025-06-20"], ["2025-06-19"]),
        ({"format": "yyyy-M-d", "range": "2025-1-2,NOW"}, ["2025-6-1"], ["2025-1-1"]),
        ({"format": "yyyy-MM", "range": "2024-11,2025-05"}, ["2024-11"], ["2024-10", "2025-06"]),
        (
            {"format": "yyyy/MM/dd/HH", "range": "2025/06/01/00,NOW"},
            ["2025/06/01/00", "2025/06/21/13"],
            ["2025/05/31/23", "2025/06/21/14"],
        ),
    ],
)
def test_dates_are_reached_by_their_range(
    parameters: dict[str, str], inside: list[str], outside: list[str]
) -> None:
    dates = projection(type="date", **parameters)
    for now in (NOW, NOW.astimezone(timezone(timedelta(hours=14)))):
        assert [value for value in inside if not dates.reaches({"dt": value}, now)] == []
        assert [value for value in outside if dates.reaches({"dt": value}, now)] == []


@pytest.mark.parametrize(
    ("parameters", "inside", "outside"),
    [
        ({"type": "integer", "range": "0,23"}, ["0", "00", "23"], ["24", "-1"]),
        ({"type": " INTEGER ", "range": " -5 , 0010 "}, ["-5", "10"], ["11", "-6"]),
        # White space is part of a value.
        ({"type": "enum", "values": "jp, us"}, ["jp", " us"], ["us", "JP", "jp, us"]),
        ({"type": "injected"}, ["anything"], []),
    ],
)
def test_other_types_are_reached_by_their_values(
    parameters: dict[str, str], inside: list[str], outside: list[str]
) -> None:
    values = projection(**parameters)
    assert [value for value in inside if not values.reaches({"dt": value}, NOW)] == []
    assert [value for value in outside if values.reaches({"dt": value}, NOW)] == []


@pytest.mark.parametrize("type_", ["date", "integer"])
@pytest.mark.parametrize(
    "range_", ["", "2025-01-01", "x,NOW,NOW", "yesterday,NOW", "NOW-9999YEARS,1"]
)
def test_a_range_that_cannot_be_read_is_named(type_: str, range_: str) -> None:
    with pytest.raises(InputError) as refused:
        projection(type=type_, range=range_).reaches({"dt": "2025"}, NOW)
    assert str(refused.value) == (
        f"The partition projection of lake.plays is not valid: projection.dt.range is {range_!r}."
        " Correct the table's parameters."
    )


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
