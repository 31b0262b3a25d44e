import math
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import ResultError, TransformError
from athena_reports.rows.athena_csv import read_csv
from athena_reports.rows.columns import duckdb_literal
from athena_reports.rows.engine import Engine
from athena_reports.rows.transforms import apply, columns_from_previous, each_row, movement
from athena_reports.rows.writer import write_table
from tests.support.engines import engine

WEEK: Any = SimpleNamespace(id="2026-11-15")
ABOUT = "Report 'plays', period 2026-11-15 (weekly)"
ONE = "SELECT 1::BIGINT AS a"


def run(*transforms: Any, sql: str = ONE) -> tuple[dict[str, str], list[Any]]:
    with engine() as opened:
        rows = apply(transforms, opened.connection.sql(sql), WEEK, opened)
        table = opened.connection.sql(f"FROM {write_table(rows, opened).source}")
        return dict(zip(rows.columns, map(str, rows.types), strict=True)), table.fetchall()


def refusal(*transforms: Any, sql: str = ONE) -> str:
    with pytest.raises(TransformError) as caught:
        run(*transforms, sql=sql)
    assert str(caught.value).startswith(f"{ABOUT}: ")
    return str(caught.value)


# --- movement


RANKS = st.integers(1, 2**40)


@given(st.lists(st.tuples(RANKS, st.none() | RANKS), min_size=1))
def test_movement_leads_from_the_previous_rank_to_this_one(
    ranks: list[tuple[int, int | None]],
) -> None:
    values = ", ".join(
        f"({now}, {'NULL' if before is None else before}::BIGINT)" for now, before in ranks
    )
    types, rows = run(movement(), sql=f"SELECT * FROM (VALUES {values}) AS t(rank, previous_rank)")

    assert list(types) == ["rank", "previous_rank", "movement"]
    for now, previous, text in rows:
        word, _, places = text.partition(" ")
        step = {"up": -1, "down": 1, "same": 0, "new": 0}[word] * int(places or 0)
        assert (word == "new") == (previous is None)
        assert previous is None or previous + step == now
        assert (places == "") == (word in {"same", "new"})


def test_movement_of_columns_with_other_names_and_without_rows() -> None:
    other = movement(rank="place", previous_rank="the one before", into="shift")
    sql = 'SELECT 1 AS place, 3 AS "the one before"'

    types = {"place": "INTEGER", "the one before": "INTEGER", "shift": "VARCHAR"}
    assert run(other, sql=sql) == (types, [(1, 3, "up 2")])
    assert run(other, sql=f"{sql} WHERE false") == (types, [])
    assert '"previous_rank" not found' in refusal(movement(), sql=sql)
    again = movement(rank="place", previous_rank="the one before", into="place")
    assert "duplicate column place" in refusal(again, sql=sql)


def test_the_columns_that_come_from_the_previous_period_are_those_of_movement() -> None:
    other = movement(rank="place", previous_rank="before", into="shift")
    transforms = [movement(), lambda rows, _: rows, each_row(lambda row: row), other]
    assert columns_from_previous(transforms) == ["previous_rank", "movement", "before", "shift"]
    assert columns_from_previous([]) == []


# --- what a transform returns


TABLE = pa.table({"b": [1, 2]})
MADE = {"table": lambda: TABLE, "reader": TABLE.to_reader, "batch": lambda: TABLE.to_batches()[0]}
MADE["pandas"] = TABLE.to_pandas


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize(
    "after", [[], [each_row(lambda row: row)], [lambda rows, _: rows.filter("b > 0")]]
)
def test_a_transform_may_return_arrow_or_a_frame(kind: str, after: list[Any]) -> None:
    assert run(lambda _, __: MADE[kind](), *after) == ({"b": "BIGINT"}, [(1,), (2,)])


def doubled(rows: Any, period: Any) -> Any:
    return rows.query("rows", f"SELECT a * 2 AS a, '{period.id}' AS period FROM rows")


def _selected(column: str, rows: Any, _period: Any) -> Any:
    return rows.project(column)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (
            lambda _, __: None,
            "it returned a NoneType. Return a relation, an Arrow table or a data frame.",
        ),
        (lambda rows, _: rows.project("*, a AS A"), "duplicate column a"),
        (lambda rows, _: rows.project("nope"), 'Binder Error: Referenced column "nope" not found'),
        (lambda rows, _: rows.query("rows", "FROM 'x.csv'"), "file system operations are disabled"),
        (lambda _, __: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_transform_that_fails_or_returns_something_else_is_named(
    transform: Any, says: str
) -> None:
    assert says in refusal(transform)
    assert f"{ABOUT}: transform 2 of 2 (<lambda>) failed: " in refusal(doubled, transform)


@pytest.mark.parametrize(
    ("transform", "name"),
    [
        (movement(rank="nope"), "movement"),
        (each_row(lambda row: row["nope"]), "each_row"),
        (partial(each_row(lambda row: row["nope"])), "each_row"),
        (partial(_selected, "nope"), "selected"),
    ],
)
def test_a_transform_that_fails_is_told_by_its_public_name(transform: Any, name: str) -> None:
    assert f"{ABOUT}: transform 2 of 2 ({name}) failed: " in refusal(doubled, transform)


def test_sql_that_fails_on_a_row_is_an_error_of_the_transform() -> None:
    found = refusal(lambda rows, _: rows.project("('x' || a)::BIGINT AS a"))
    assert "could not compute the rows: Conversion Error: Could not convert string 'x1'" in found
    assert "LINE" not in found


@pytest.mark.parametrize(
    "transforms",
    [[], [each_row(lambda row: row)], [lambda rows, _: TABLE if rows.fetchall() else rows]],
)
def test_an_error_of_the_result_is_not_blamed_on_the_transform(transforms: list[Any]) -> None:
    def write(opened: Engine) -> None:
        path = opened.folder / "x.csv"
        path.write_text('"a"\n"1"\n"x"\n')
        rows = read_csv(path, {"a": "BIGINT"}, opened)
        write_table(apply(transforms, rows, WEEK, opened), opened)

    with (
        pytest.raises(ResultError, match=r' row 2: column "a"'),
        engine() as opened,
    ):
        write(opened)


# --- each_row


def graded(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["score"] is None:
        return None
    return {**row, "score": str(row["score"]), "grade": "AB"[row["score"] % 2]}


def test_each_row_makes_rows_in_order_and_leaves_them_out() -> None:
    transform = each_row(
        graded, adds={"grade": "varchar", "score": "varchar(10)"}, drops=["secret"]
    )
    scores = (
        "SELECT CASE WHEN range % 5 <> 1 THEN 7 - range END AS score, 'x' AS secret"
        " FROM range(9000)"
    )
    types, rows = run(transform, sql=scores)

    assert types == {"score": "VARCHAR", "grade": "VARCHAR"}
    assert rows == [(str(7 - n), "AB"[(7 - n) % 2]) for n in range(9000) if n % 5 != 1]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _, period: {"a": period.id}, "2026-11-15"),
        (lambda _, period, prefix="of ": {"a": prefix + period.id}, "of 2026-11-15"),
        (lambda _, *rest: {"a": str(len(rest))}, "1"),
        (lambda _, **options: {"a": str(options)}, "{}"),
        (lambda _, *, prefix="no": {"a": prefix}, "no"),
    ],
)
def test_each_row_gives_the_period_to_a_function_of_two(function: Any, expected: str) -> None:
    assert run(each_row(function, adds={"a": "varchar"}))[1] == [(expected,)]


WITHOUT_ZONE = datetime.fromisoformat("2026-01-01T01:02:03.004")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [2**63 - 1, -(2**63), None, 1]),
        ("tinyint", [127, -128]),
        ("smallint", [2**15 - 1, -(2**15)]),
        ("integer", [2**31 - 1, -(2**31)]),
        ("double", [0.1, math.inf, 3, None]),
        ("real", [0.5, -math.inf]),
        ("decimal(10,2)", [Decimal("1.50"), 7, None, Decimal("-99999999.99"), Decimal("1.5000")]),
        ("decimal(2,2)", [Decimal("0.99"), 0]),
        ("date", [date(2026, 1, 1), None, date.min]),
        ("timestamp", [WITHOUT_ZONE, None]),
        ("timestamp with time zone", [datetime(2026, 1, 1, 1, tzinfo=UTC), None]),
        ("boolean", [True, False, None]),
        ("varchar", ["", None, "\u96ea", 'a "b",\n\r\n\\N', "NULL", "\x00"]),
        ("varbinary", [b"", None, b"\x00\xff"]),
    ],
)
def test_each_row_takes_values_of_the_declared_type(kind: str, values: list[Any]) -> None:
    made = iter(values)
    found = run(
        each_row(lambda _: {"a": next(made)}, adds={"a": kind}),
        sql=f"{ONE} FROM range({len(values)})",
    )
    assert found[1] == [(value,) for value in values]


NESTED = """
SELECT
    [1, NULL] AS l,
    {'x': 'a"b', 'at': DATE '2026-01-01', 'd': 1.50::DECIMAL(10,2)} AS s,
    MAP {'k': [1.5::DOUBLE]} AS m,
    NULL::INTEGER[] AS n,
    true AS b,
    TIME '01:02:03.004' AS t,
    'x'::BLOB AS y
"""


def test_each_row_hands_on_values_of_every_type_that_a_result_has() -> None:
    assert run(each_row(lambda row: row), sql=NESTED) == run(sql=NESTED)


# With spaces, digits and escapes that another encoding would not have.
JSON_TEXTS = [
    '{"b": 1.50,  "a": [1e2, null], "b": "\\u96ea \u96ea \\" \\n"}',
    '"a text"',
    "null",
    " [1 , 2]\n",
    "12345678901234567890.1",
]


@pytest.mark.parametrize(
    "value",
    [
        "text::JSON",
        "[text::JSON, NULL]",
        "{'k': text::JSON, 'n': [{'m': text::JSON}]}",
        "MAP {'k': text::JSON}",
    ],
)
def test_each_row_hands_on_json_byte_for_byte(value: str) -> None:
    texts = ", ".join(f"({duckdb_literal(text)})" for text in JSON_TEXTS)
    sql = f"SELECT {value} AS a FROM (VALUES {texts}, (NULL)) AS t(text)"
    again = each_row(lambda row: row)

    untouched = run(sql=sql)
    assert run(again, sql=sql) == untouched
    assert run(again, again, sql=sql) == untouched


def test_each_row_takes_the_text_of_json() -> None:
    as_list = each_row(lambda row: {"a": f"[{row['a']}]"})
    first = lambda rows, _: rows.project("a->>'$[0].k' AS a")  # noqa: E731
    assert run(as_list, first, sql="""SELECT '{"k": "v"}'::JSON AS a""")[1] == [("v",)]

    not_json = each_row(lambda _: {"a": "v"})
    assert "Malformed JSON" in refusal(not_json, sql="""SELECT '"v"'::JSON AS a""")


# Values that stay the same, beside one that does not.
ORDINARY: dict[str, Any] = {
    "bigint": 7,
    "tinyint": 7,
    "smallint": 7,
    "integer": 7,
    "double": 0.5,
    "real": 3,
    "varchar": "x",
    "boolean": True,
    "decimal(10,2)": Decimal("1.50"),
    "date": date(2026, 1, 1),
    "timestamp": WITHOUT_ZONE,
    "timestamp with time zone": datetime(2026, 1, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("bigint", value) for value in ("1", 1.5, True)),
        ("double", 2**53 + 1),
        ("double", -(2**53) - 1),
        ("real", 2**24 + 1),
        ("real", 2**128),
        *(("bigint", value) for value in (-(2**63) - 1, 2**63)),
        *(("tinyint", value) for value in (-129, 128)),
        *(("smallint", value) for value in (-(2**15) - 1, 2**15)),
        *(("integer", value) for value in (-(2**31) - 1, 2**31)),
        ("double", "1"),
        ("varchar", 1),
        ("varchar", b"x"),
        ("boolean", 1),
        *(("decimal(10,2)", value) for value in (1.5, Decimal("1.505"), Decimal("NaN"), 10**8)),
        ("date", "2026-01-01"),
        ("date", datetime(2026, 1, 1, 5, tzinfo=UTC)),
        *(
            ("timestamp", value)
            for value in (date(2026, 1, 1), datetime(2026, 1, 1, 5, tzinfo=UTC))
        ),
        ("timestamp", WITHOUT_ZONE.replace(microsecond=4005)),
        ("timestamp with time zone", WITHOUT_ZONE),
    ],
)
def test_each_row_refuses_a_value_that_would_not_stay_the_same(kind: str, value: Any) -> None:
    others = {0: None, 1: ORDINARY[kind]}
    transform = each_row(
        lambda row: {"a": value if row["a"] == 4998 else others[row["a"] % 2]}, adds={"a": kind}
    )
    said = refusal(transform, sql="SELECT range AS a FROM range(5000)")
    assert f"row 4,999, column 'a': {value!r} is not a valid " in said
    assert said.endswith(". Convert it, or change the column's type in `adds`.")


def test_each_row_keeps_microseconds_of_a_column_that_it_was_given_and_refuses_instants() -> None:
    value = WITHOUT_ZONE.replace(microsecond=4005)
    as_it_was = run(each_row(lambda row: row), sql=f"SELECT TIMESTAMP '{value}' AS a")
    assert as_it_was == ({"a": "TIMESTAMP"}, [(value,)])
    sql = "SELECT TIMESTAMP '2026-01-01' AS a FROM range(2)"
    assert run(each_row(lambda _: {"a": value}), sql=sql) == (
        {"a": "TIMESTAMP"},
        [(value,), (value,)],
    )
    values = iter([value, value.replace(tzinfo=UTC)])
    said = refusal(each_row(lambda _: {"a": next(values)}), sql=sql)
    assert "row 2, column 'a': datetime.datetime(2026" in said


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (
            lambda row: {**row, "grade": 1, "b": 2},
            "the function returned the columns a, grade, b for row 1; expected a, grade. Declare a"
            " new column in `adds`, and return None for a missing value.",
        ),
        (
            lambda row: [row],
            "the function returned a list for row 1. Return a dict, or None to leave the row out.",
        ),
        (lambda row: row["b"], "KeyError: 'b', in row 1."),
        (lambda row: {**row, "grade": "x" * 200}, f"row 1, column 'grade': '{'x' * 79} is not"),
    ],
)
def test_each_row_names_the_row_of_a_mistake_and_keeps_its_cause(function: Any, says: str) -> None:
    with pytest.raises(TransformError) as caught:
        run(each_row(function, adds={"grade": "bigint"}))
    assert says in str(caught.value)
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, KeyError) == says.startswith("KeyError")


def test_each_row_knows_its_columns_without_rows() -> None:
    none = f"{ONE} WHERE false"
    transform = each_row(lambda row: row, adds={"grade": "decimal(5,1)"}, drops=["a"])
    assert run(transform, sql=none) == ({"grade": "DECIMAL(5,1)"}, [])
    assert "it drops b, but the rows have a." in refusal(
        each_row(lambda row: row, drops=["a", "b"]), sql=none
    )
    with pytest.raises(ValueError, match="decimel is not a supported type"):
        each_row(lambda row: row, adds={"b": "decimel"})
