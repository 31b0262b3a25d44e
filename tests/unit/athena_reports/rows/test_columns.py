import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.rows.columns import (
    MEANT_NAMES,
    TABLE_TYPES,
    TableColumn,
    as_called,
    columns_of,
    duckdb_type,
    glue_name,
    result_columns,
    table_type,
)
from tests.support.engines import engine
from tests.unit.athena_reports.rows.athena_output import ResultColumn


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["boolean", "BOOLEAN"], "BOOLEAN"),
        (["tinyint"], "TINYINT"),
        (["smallint"], "SMALLINT"),
        (["integer", "int", "Integer"], "INTEGER"),
        (["bigint"], "BIGINT"),
        (["float", "real"], "FLOAT"),
        (["double"], "DOUBLE"),
        (["decimal(5)"], "DECIMAL(5,0)"),
        (["varbinary", "binary"], "BLOB"),
        (["decimal(10,2)", "decimal( 10 , 2 )", "DECIMAL(10, 2)"], "DECIMAL(10,2)"),
        (["char", "char(3)", "varchar", "varchar(20)", "string"], "VARCHAR"),
        (["date"], "DATE"),
        (["time", "time(3)"], "TIME"),
        (["timestamp", "timestamp(3)", "timestamp(6)"], "TIMESTAMP_MS"),
        (
            [
                "timestamp with time zone",
                "timestamp(3) with time zone",
                " Timestamp (3)  with  time  zone",
            ],
            "TIMESTAMP WITH TIME ZONE",
        ),
        (
            [
                "array",
                "array(integer)",
                "map(varchar, array(bigint))",
                "row(a integer, b row(c date))",
                "struct<a:int>",
            ],
            "VARCHAR",
        ),
        (
            [
                "json",
                "uuid",
                "ipaddress",
                "time with time zone",
                "interval day to second",
                "unknown",
            ],
            "VARCHAR",
        ),
    ],
)
def test_every_type_of_athena_has_its_type_in_duckdb(names: list[str], expected: str) -> None:
    assert {duckdb_type(name) for name in names} == {expected}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *(
            (name, f"its type {name} is not known. CAST it in the SQL, to varchar for example")
            for name in ("hyperloglog", "", "timestamp without a zone", "decimals(3,1)")
        ),
        ("bool", "its type bool is not known: write boolean."),
        ("TEXT", "its type TEXT is not known: write string."),
        ("timestamptz(3)", "its type timestamptz(3) is not known: write timestamp."),
        ("numeric(10,2)", "its type numeric(10,2) is not known: write decimal(10,2)."),
        ("Number (5)", "its type Number (5) is not known: write decimal (5)."),
        *(
            (name, f"its type {name} lacks its digits: write them, such as decimal(18,2).")
            for name in ("decimal", "decimal(a)")
        ),
        *(
            (name, f"{name} is not a valid type; it has 1 to 38 digits")
            for name in ("decimal(0,0)", "decimal(39,2)", "decimal(5,6)")
        ),
        ("numeric(39,2)", "decimal(39,2) is not a valid type; it has 1 to 38 digits"),
    ],
)
def test_a_type_that_is_not_known_is_refused_with_a_way_out(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        duckdb_type(name)


@pytest.mark.parametrize("form", ["{}", "array<{}>", "map<string,{}>"])
@pytest.mark.parametrize("digits", ["", "(10)", "(10,2)"])
@pytest.mark.parametrize("name", MEANT_NAMES)
def test_what_an_author_is_told_to_write_is_a_type_of_a_table(
    name: str, digits: str, form: str
) -> None:
    with pytest.raises(ValueError, match=r"is not known: write .*\.$") as refused:
        glue_name(form.format(f"{name}{digits}"))
    told = str(refused.value).rpartition("write ")[2].removesuffix(".").split(" or ")
    for kind in told:
        written = form.format(kind)
        assert glue_name(written) in (written, written.replace("(10)", "(10,0)"))
    if digits and name in ("number", "numeric"):
        assert told == [f"decimal{digits}"]


def test_the_types_that_an_author_may_choose_among_are_those_of_a_table() -> None:
    assert [glue_name(kind) for kind in TABLE_TYPES] == list(TABLE_TYPES)
    plain = {"boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "date"}
    plain |= {"string", "binary", "timestamp", "decimal(10,2)"}
    assert {kind for kind in TABLE_TYPES if "<" not in kind} == plain
    assert [kind.partition("<")[0] for kind in TABLE_TYPES if "<" in kind] == [
        "array",
        "map",
        "struct",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["B", "a"], ("B", "A")), (["a"], ("A",)), (["C"], ("c",)), ([], ())],
)
def test_names_are_spelt_as_the_table_has_them_if_it_has_all(
    names: list[str], expected: tuple[str, ...]
) -> None:
    columns = [TableColumn(name=name, type="", glue="") for name in ("A", "B", "c")]
    assert as_called(names, columns) == expected
    assert as_called([*names, "d"], columns) == ()


def test_columns_that_come_twice_are_named_in_order_however_often_they_come() -> None:
    described = [ResultColumn(name, "bigint") for name in ("b", "a", "x", "A", "B", "b")]
    with pytest.raises(ValueError, match=r"^the column a, b occurs twice\. Name each column"):
        result_columns([column.info for column in described])


def test_a_results_columns_have_their_names_in_order_and_a_decimals_digits() -> None:
    described = [
        ResultColumn("b", "decimal", 12, 4),
        ResultColumn("a", "varchar", 2_147_483_647),
        ResultColumn("c", "timestamp", 3),
    ]

    found = result_columns([column.info for column in described])
    assert list(found.items()) == [("b", "DECIMAL(12,4)"), ("a", "VARCHAR"), ("c", "TIMESTAMP_MS")]


SCALARS = st.sampled_from(
    [
        "boolean",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "string",
        "binary",
        "date",
        "timestamp",
        "decimal(38,0)",
        "decimal(1,1)",
        "decimal(10,2)",
    ]
)
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
def test_a_glue_type_that_lacks_a_sign_or_has_one_too_many_is_refused(
    name: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(name)))
    sign = data.draw(st.sampled_from("<>(),:"))
    broken = {f"{name[:place]}{sign}{name[place:]}"}
    for number, character in enumerate(name):
        if character in "<>(:" or (character == "," and "(" not in name):
            broken.add(name[:number] + name[number + 1 :])
    for wrong in broken:
        with pytest.raises(ValueError, match="type"):
            table_type(wrong)


@pytest.mark.parametrize(
    "wrong", ["bigint)", "int,int", "map<int>", "array<int,int>", "struct<a:int,>", "struct<:int>"]
)
def test_a_glue_type_whose_parts_are_not_right_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"{wrong} is not a type of a table".replace(")", r"\)")):
        table_type(wrong)


@pytest.mark.parametrize(
    ("kinds", "glue"),
    [
        (["TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"], "timestamp"),
        (["INTEGER[3]"], "array<int>"),
        (["JSON"], "string"),
        (
            [
                "HUGEINT",
                "UTINYINT",
                "TIME",
                "INTERVAL",
                "UINTEGER[]",
                'STRUCT("at" TIME)',
                'STRUCT("a:b" INTEGER)',
            ],
            "",
        ),
    ],
)
def test_a_type_that_glue_does_not_have_is_an_empty_one(kinds: list[str], glue: str) -> None:
    with engine() as opened:
        found = columns_of(
            opened.connection.sql("SELECT " + ", ".join(f"NULL::{kind}" for kind in kinds))
        )
    assert [column.glue for column in found] == [glue] * len(kinds)
