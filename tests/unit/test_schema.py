from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.schema import arrow_type, glue_type, result_schema


def info(name: str, type: str, precision: int = 0, scale: int = 0) -> dict[str, Any]:
    return {"Name": name, "Type": type, "Precision": precision, "Scale": scale}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["boolean", "BOOLEAN"], pa.bool_()),
        (["tinyint"], pa.int8()),
        (["smallint"], pa.int16()),
        (["integer", "int", "Integer"], pa.int32()),
        (["bigint"], pa.int64()),
        (["float", "real"], pa.float32()),
        (["double"], pa.float64()),
        (["decimal(10,2)", "decimal( 10 , 2 )", "DECIMAL(10, 2)"], pa.decimal128(10, 2)),
        (["decimal(38,38)"], pa.decimal128(38, 38)),
        (["decimal(5)"], pa.decimal128(5, 0)),
        (["char", "char(3)", "varchar", "varchar(20)", "string"], pa.string()),
        (["varbinary", "binary"], pa.binary()),
        (["date"], pa.date32()),
        (["time", "time(3)"], pa.time32("ms")),
        (["timestamp", "timestamp(3)", "timestamp(6)"], pa.timestamp("ms")),
        (["timestamp with time zone", "timestamp(3) with time zone"], pa.timestamp("ms", "UTC")),
        (
            [
                "array",
                "array(integer)",
                "array<int>",
                "map",
                "map(varchar, array(bigint))",
                "row",
                "row(a integer, b row(c date))",
                "json",
                "uuid",
                "ipaddress",
                "time with time zone",
                "interval day to second",
                "interval year to month",
                "unknown",
            ],
            pa.string(),
        ),
    ],
)
def test_every_type_of_athena_has_its_arrow_type(names: list[str], expected: pa.DataType) -> None:
    assert [arrow_type(name) for name in names] == [expected] * len(names)


@pytest.mark.parametrize("name", ["hyperloglog", "", "timestamp without a zone", "decimals(3,1)"])
def test_a_type_that_is_not_known_is_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(ValueError, match="CAST it in the SQL"):
        arrow_type(name)


@pytest.mark.parametrize("name", ["decimal(0,0)", "decimal(39,2)", "decimal(5,6)"])
def test_a_decimal_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no decimal"):
        arrow_type(name)


def test_a_results_schema_has_its_names_in_order_and_a_decimals_digits() -> None:
    columns = [info("b", "decimal", 12, 4), info("a", "varchar", 2_147_483_647), info("c", "timestamp", 3)]

    assert result_schema(columns) == pa.schema(
        [("b", pa.decimal128(12, 4)), ("a", pa.string()), ("c", pa.timestamp("ms"))]
    )


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the column a, c stands twice .*\(AS\)"):
        result_schema([info(name, "bigint") for name in ("a", "b", "c", "a", "c")])


def test_names_that_differ_in_case_are_two_columns() -> None:
    assert result_schema([info("a", "bigint"), info("A", "bigint")]).names == ["a", "A"]


def test_a_column_of_an_unknown_type_is_named() -> None:
    with pytest.raises(ValueError, match="the column 'people': its type is hyperloglog"):
        result_schema([info("people", "hyperloglog")])


SCALARS = st.sampled_from(
    ["boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "string", "binary", "date"]
) | st.integers(1, 38).flatmap(lambda digits: st.integers(0, digits).map(lambda s: f"decimal({digits},{s})"))
SCALARS |= st.just("timestamp")


@given(SCALARS)
def test_a_glue_type_is_that_of_its_arrow_type(name: str) -> None:
    assert glue_type(arrow_type(name)) == name


# Each Hive type beside the Arrow type that a person would write for it.
NESTED = st.recursive(
    SCALARS.map(lambda name: (name, arrow_type(name))),
    lambda inner: (
        inner.map(lambda item: (f"array<{item[0]}>", pa.list_(item[1])))
        | st.tuples(inner, inner).map(
            lambda pair: (f"map<{pair[0][0]},{pair[1][0]}>", pa.map_(pair[0][1], pair[1][1]))
        )
        | st.lists(inner, min_size=1, max_size=3).map(
            lambda items: (
                "struct<" + ",".join(f"f{n}:{name}" for n, (name, _) in enumerate(items)) + ">",
                pa.struct([(f"f{n}", type) for n, (_, type) in enumerate(items)]),
            )
        )
    ),
    max_leaves=6,
)


@given(NESTED)
def test_nested_types_are_spelt_as_hive_spells_them(pair: tuple[str, pa.DataType]) -> None:
    name, type = pair

    assert glue_type(type) == name


@pytest.mark.parametrize(
    ("type", "name"),
    [
        (pa.timestamp("ns"), "timestamp"),
        (pa.timestamp("ms", "UTC"), "timestamp"),
        (pa.large_string(), "string"),
        (pa.large_binary(), "binary"),
        (pa.large_list(pa.int64()), "array<bigint>"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
    ],
)
def test_types_that_parquet_stores_alike_are_one_type_in_glue(type: pa.DataType, name: str) -> None:
    assert glue_type(type) == name


@pytest.mark.parametrize(
    "type",
    [
        pa.null(),
        pa.uint8(),
        pa.uint64(),
        pa.float16(),
        pa.time32("ms"),
        pa.duration("ms"),
        pa.date64(),
        pa.decimal256(76, 2),
        pa.decimal128(5, -2),
        pa.list_(pa.uint32()),
        pa.struct([("at", pa.time64("us"))]),
    ],
)
def test_a_type_that_glue_does_not_have_is_refused_with_a_way_out(type: pa.DataType) -> None:
    with pytest.raises(ValueError, match="CAST the column in the SQL"):
        glue_type(type)


def test_a_field_whose_name_would_break_the_types_spelling_is_refused() -> None:
    with pytest.raises(ValueError, match="the field 'a:b'"):
        glue_type(pa.struct([("a:b", pa.int64())]))
