import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.rows.columns import (
    TABLE_TYPES,
    TableColumn,
    columns_of,
    duckdb_type,
    glue_name,
    resolve_names,
    result_columns,
    table_type,
)
from tests.support.engines import engine
from tests.unit.athena_reports.rows.athena_output import ResultColumn

ZONED = ["timestamp(3) with time zone", " Timestamp (3)  with  time  zone"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["boolean", "BOOLEAN"], "BOOLEAN"),
        (["integer", "int", "Integer"], "INTEGER"),
        (["float", "real"], "FLOAT"),
        (["varbinary", "binary"], "BLOB"),
        (["decimal(5)"], "DECIMAL(5,0)"),
        (["decimal(10,2)", "decimal( 10 , 2 )", "DECIMAL(10, 2)"], "DECIMAL(10,2)"),
        (["char", "char(3)", "varchar", "varchar(20)", "string"], "VARCHAR"),
        (["timestamp", "timestamp(3)", "timestamp(6)"], "TIMESTAMP_MS"),
        (["timestamp with time zone", *ZONED], "TIMESTAMP WITH TIME ZONE"),
        (["array", "array(integer)", "map(varchar, array(bigint))", "struct<a:int>"], "VARCHAR"),
        (["row(a integer, b row(c date))", "json", "uuid", "ipaddress", "unknown"], "VARCHAR"),
        (["time with time zone", "interval day to second", "time(3)"], "VARCHAR"),
    ],
)
def test_every_type_of_athena_has_its_type_in_duckdb(names: list[str], expected: str) -> None:
    assert {duckdb_type(name) for name in names} == {expected}


UNSUPPORTED = ["hyperloglog", "", "bool", "int64", "decimals(3,1)", "timestamp without a zone"]
UNSUPPORTED += ["decimal", "decimal(a)", "decimal(0,0)", "decimal(39,2)", "decimal(5,6)"]


@pytest.mark.parametrize("convert", [duckdb_type, glue_name, table_type])
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_unsupported_type_is_rejected_with_those_that_are_supported(
    name: str, convert: Callable[[str], str]
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(name)} is not a supported type") as caught:
        convert(name)
    assert str(caught.value).endswith(
        " is not a supported type. Use one of boolean, tinyint, smallint, int, bigint, float,"
        " double, date, timestamp, binary, string, decimal(10,2), array<string>, map<string,int>,"
        " struct<name:string>, or CAST it to varchar in the SQL."
    )


@pytest.mark.parametrize(
    ("name", "glue"),
    [
        ("Varchar(20)", "string"),
        ("decimal( 10 )", "decimal(10,0)"),
        ("timestamp(3) with time zone", "timestamp"),
        ("Array<Integer>", "array<int>"),
        ("map<varchar, struct<a: real>>", "map<string,struct<a:float>>"),
    ],
)
def test_a_type_of_athena_has_its_name_in_glue(name: str, glue: str) -> None:
    assert glue_name(name) == glue


def test_the_types_of_a_table_are_named_as_glue_has_them() -> None:
    assert [glue_name(kind) for kind in TABLE_TYPES] == list(TABLE_TYPES)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["B", "a"], ("B", "A")), (["a"], ("A",)), (["C"], ("c",)), ([], ())],
)
def test_names_are_spelt_as_the_table_has_them_if_it_has_all(
    names: list[str], expected: tuple[str, ...]
) -> None:
    columns = [TableColumn(name=name, type="", glue="") for name in ("A", "B", "c")]
    assert resolve_names(names, columns) == expected
    assert resolve_names([*names, "d"], columns) == ()


def test_columns_that_come_twice_are_named_in_order_however_often_they_come() -> None:
    described = [ResultColumn(name, "bigint") for name in ("b", "a", "x", "A", "B", "b")]
    with pytest.raises(ValueError, match=r"^duplicate column a, b\. Give each column"):
        result_columns([column.info for column in described])


def test_a_results_columns_have_their_names_in_order_and_a_decimals_digits() -> None:
    described = [
        ResultColumn("b", "decimal", 12, 4),
        ResultColumn("a", "varchar", 2_147_483_647),
        ResultColumn("c", "timestamp", 3),
    ]

    found = result_columns([column.info for column in described])
    assert list(found.items()) == [("b", "DECIMAL(12,4)"), ("a", "VARCHAR"), ("c", "TIMESTAMP_MS")]


DECIMALS = ["decimal(38,0)", "decimal(1,1)", "decimal(10,2)"]
SCALARS = st.sampled_from([kind for kind in TABLE_TYPES if kind.isalpha()] + DECIMALS)
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        inner.map(lambda item: f"array<{item}>")
        | st.tuples(inner, inner).map(lambda pair: f"map<{pair[0]},{pair[1]}>")
        | st.lists(inner, min_size=1, max_size=3).map(
            lambda items: "struct<" + ",".join(f"f{n}:{item}" for n, item in enumerate(items)) + ">"
        )
    ),
    max_leaves=6,
)


@given(st.lists(NESTED, min_size=20, max_size=20))
@settings(max_examples=10)
def test_a_glue_type_is_that_of_its_type_in_duckdb(names: list[str]) -> None:
    with engine() as opened:
        values = ", ".join(f"NULL::{table_type(name)} AS c{n}" for n, name in enumerate(names))
        found = columns_of(opened.connection.sql(f"SELECT {values}"))
    assert [column.glue for column in found] == names


@given(NESTED, st.data())
def test_a_glue_type_with_a_missing_or_extra_sign_is_rejected(
    name: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(name)))
    sign = data.draw(st.sampled_from("<>(),:"))
    broken = {f"{name[:place]}{sign}{name[place:]}"}
    for number, character in enumerate(name):
        if character in "<>(:" or (character == "," and "(" not in name):
            broken.add(name[:number] + name[number + 1 :])
    for wrong in broken:
        with pytest.raises(ValueError, match="is not a supported type"):
            table_type(wrong)


@pytest.mark.parametrize(
    ("kinds", "glue"),
    [
        (["TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"], "timestamp"),
        (["INTEGER[3]"], "array<int>"),
        (["JSON"], "string"),
        (["HUGEINT", "UTINYINT", "TIME", "INTERVAL", "UINTEGER[]"], ""),
        (['STRUCT("at" TIME)', 'STRUCT("a:b" INTEGER)'], ""),
    ],
)
def test_a_type_that_glue_does_not_have_is_an_empty_one(kinds: list[str], glue: str) -> None:
    with engine() as opened:
        found = columns_of(
            opened.connection.sql("SELECT " + ", ".join(f"NULL::{kind}" for kind in kinds))
        )
    assert [column.glue for column in found] == [glue] * len(kinds)
