"""Whatever a table and its declaration are like, there is a coverage or an InputError."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from athena_reports import Input
from athena_reports.errors import InputError, ReportError
from athena_reports.periods.calendar import daily, weekly
from athena_reports.steps.input_coverage import find_partitions
from tests.unit.athena_reports.inputs.trino import assert_trino_accepts

NAMES = ["dt", "hour", "year", "month", "day", "region", "order", "event date", 'say "x"', "2day"]
TYPES = ["string", "STRING", "varchar(10)", "int", " Bigint ", "date", "timestamp", "struct<a:int>"]
TYPES += ["", "decimal(8,0)", "char(2)", "tinyint"]
VALUES = ["2025-06-21", "2025-06-22", "20250622", "2025", "6", "06", "22", "00", "7", "jp", "x"]
VALUES += ["__HIVE_DEFAULT_PARTITION__", "", "-1", "²", "o'neill", "2025/06/22/05", "1e3", " 6 "]
FORMATS = ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d/%H", "%Y", "%m", "%-m", "%d", "%H", "%Y-%m"]
FORMATS += ["%Y/%Y-%m-%d", "%d", "dt=%Y-%m-%d", "%-H h %d.%m.%Y"]
PARAMETERS: Mapping[str, list[str]] = {
    "type": ["date", " Date ", "integer", "enum", "injected", "", "dates"],
    "range": ["2025-01-01,NOW", "NOW-3YEARS,NOW", "1,31", "0,x", "", ",", "NOW", "NOW+1,NOW"],
    "format": ["yyyy-MM-dd", "yyyyMMdd", "yyyy/MM/dd/HH", "", "MMM", "'", "''yyyy", "dd", "%Y"],
    "interval": ["1", "0", "-1", "x", "", " 2 ", "²"],
    "interval.unit": ["DAYS", "HOURS", "days", "", "EONS", "MONTHS", "YEARS", "S"],
    "digits": ["1", "2", "0", "x", "", "99"],
    "values": ["jp,us", "", ",", " jp"],
}
PARAMETERS_OF_A_KEY = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in PARAMETERS.items()}
)
TABLES = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(TYPES), PARAMETERS_OF_A_KEY),
    max_size=4,
)


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    """An input of any keys. Most of those that fit no table are refused for another reason."""
    columns = draw(st.lists(st.sampled_from(NAMES[:8]), min_size=1, max_size=4, unique=True))
    fields: dict[str, Any] = {"columns": columns, "missing": "partial"}
    formats = st.lists(st.sampled_from(FORMATS), min_size=len(columns), max_size=len(columns))
    fields["format"] = draw(st.none() | formats)
    kinds = st.sampled_from(["string", "integer", "date"])
    fields["kind"] = draw(kinds | st.lists(kinds, min_size=len(columns), max_size=len(columns)))
    further = st.sampled_from([name for name in NAMES if name not in columns])
    values = st.lists(st.sampled_from([*VALUES, 6, -1]), min_size=1, max_size=3, unique=True)
    fields["only"] = draw(st.dictionaries(further, values, max_size=2))
    fields["previous"] = draw(st.booleans())
    try:
        return Input("plays", **fields)
    except ReportError:
        return Input(
            "plays", columns[:1], format="%Y-%m-%d", missing="partial", previous=fields["previous"]
        )


class AnyGlue:
    """A Glue that has one table, and answers with any partitions of it."""

    exceptions = SimpleNamespace(EntityNotFoundException=KeyError)

    def __init__(
        self, keys: Mapping[str, tuple[str, Mapping[str, str]]], values: list[list[str]]
    ) -> None:
        self._keys = keys
        self._values = [(2 * stored)[: len(keys)] for stored in values]

    def get_table(self, **_: Any) -> Any:
        parameters = {}
        for key, (_type, of_key) in self._keys.items():
            if of_key:
                parameters["projection.enabled"] = "true"
            for name, value in of_key.items():
                parameters[f"projection.{key}.{name}"] = value
        keys = [{"Name": key, "Type": type_} for key, (type_, _) in self._keys.items()]
        return {"Table": {"Name": "plays", "PartitionKeys": keys, "Parameters": parameters}}

    def batch_get_partition(self, **_: Any) -> Any:
        return {"Partitions": [{"Values": values} for values in self._values]}

    get_partitions = batch_get_partition

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [self.batch_get_partition()])


@given(
    inputs(),
    TABLES,
    st.lists(st.lists(st.sampled_from(VALUES), min_size=4, max_size=4), max_size=4),
    st.booleans(),
)
def test_there_is_a_coverage_or_an_input_error(
    source: Input,
    keys: dict[str, tuple[str, dict[str, str]]],
    values: list[list[str]],
    takes_the_keys_of_the_input: bool,
) -> None:
    if takes_the_keys_of_the_input:  # or few tables would have them
        types = {"string": "string", "integer": "int", "date": "date"}
        keys |= {
            key.name: (types[key.kind], keys.get(key.name, ("", {}))[1])
            for key in source.layout.keys
        }
    glue: Any = AnyGlue(keys, values)
    refusal = None
    try:
        (found,) = find_partitions(
            [source],
            weekly("sunday").period("2025-06-22"),
            late_by=timedelta(hours=5),
            now=datetime(2025, 7, 1, tzinfo=UTC),
            database="lake",
            glue=glue,
            s3=None,  # type: ignore[arg-type]
        )
    except InputError as error:
        refusal = str(error)
    if refusal is None:
        assert len(found.coverage.present) + len(found.coverage.gaps) == found.coverage.needed > 0
    else:
        assert "lake.plays" in refusal
        assert refusal.endswith(".")


@given(inputs(), st.sampled_from([None, "p"]))
def test_any_predicate_is_sql(source: Input, alias: str | None) -> None:
    predicate = source.predicate(daily().period("2025-06-22"), timedelta(0), alias)
    assert_trino_accepts(predicate)
