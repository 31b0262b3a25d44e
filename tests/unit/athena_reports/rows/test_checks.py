import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.errors import ReportError
from athena_reports.rows import checks
from athena_reports.rows.checks import (
    Check,
    CheckResult,
    failures,
    promised,
    run_checks,
)
from athena_reports.rows.engine import MemoryLimitError
from athena_reports.rows.writer import write_table
from tests.support.engines import engine, new_engine


def table(**columns: Sequence[Any]) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def scores(values: Sequence[int | None]) -> pa.Table:
    return pa.table({"score": pa.array(values, pa.int64())})


def run(declared: Sequence[Check], rows: pa.Table, **baselines: Any) -> tuple[CheckResult, ...]:
    with engine() as opened:
        local = write_table(opened.connection.from_arrow(rows), opened)
        return run_checks(declared, local, opened, **baselines)


def run_alone(check: Check, rows: pa.Table) -> tuple[CheckResult, ...]:
    """Run a check that breaks its engine."""
    with new_engine() as opened:
        local = write_table(opened.connection.from_arrow(rows), opened)
        return run_checks([check], local, opened)


def result(check: Check, rows: pa.Table, **baselines: Any) -> CheckResult:
    (found,) = run([check], rows, **baselines)
    assert (found.name, found.severity) == (check.name, check.severity)
    return found


def row_numbers(found: CheckResult) -> list[str]:
    return [row["row number"] for row in found.rows]


@pytest.mark.parametrize(("count", "passed"), [(0, False), (1, True), (3, True), (4, False)])
def test_rows_are_counted(count: int, passed: bool) -> None:
    found = result(checks.rows(at_least=1, at_most=3, severity="warn"), scores([1] * count))

    assert (found.name, found.passed, found.value) == ("rows(at_least=1, at_most=3)", passed, count)
    noun = "row" if count == 1 else "rows"
    assert found.message == f"{count} {noun}; expected at_least=1, at_most=3."


KEYS = st.tuples(
    st.sampled_from([0.0, -0.0, 1.5, math.nan, None]), st.sampled_from(["a", "", None])
)


@given(st.lists(KEYS, max_size=15))
def test_unique_finds_rows_that_repeat_others_and_not_null_those_with_null(
    rows: list[tuple[float | None, str | None]],
) -> None:
    columns = {
        "id": pa.array([key for key, _ in rows], pa.float64()),
        "name": pa.array([name for _, name in rows], pa.string()),
    }
    declared = [checks.unique("id", "name"), checks.not_null("id"), checks.not_null("id", "name")]
    found = run(declared, pa.table(columns))

    same = [("0.0" if key == 0 else str(key), name) for key, name in rows]
    wrong = [
        [number for number, key in enumerate(same, 1) if key in same[: number - 1]],
        [number for number, row in enumerate(rows, 1) if row[0] is None],
        [number for number, row in enumerate(rows, 1) if None in row],
    ]
    for check_result, expected in zip(found, wrong, strict=True):
        assert (check_result.passed, check_result.value) == (not expected, len(expected))
        assert row_numbers(check_result) == [str(number) for number in expected[:5]]


def test_an_offending_row_is_shown_with_its_first_columns_and_short_values() -> None:
    wide = {f"c{number}": [number] for number in range(30)}
    found = result(
        checks.not_null('z "'),
        table(text=["x" * 200], **wide, **{'z "': pa.array([None], pa.string())}),
    )

    assert found.message == '1 of 1 rows have NULL in z ".'
    (row,) = found.rows
    assert list(row)[:4] == ["row number", 'z "', "text", "c0"]
    assert len(row) == 21
    assert (row['z "'], row["text"]) == ("NULL", "x" * 80)


UTC_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOON = datetime.fromisoformat("2026-01-02T12:00:00")


@pytest.mark.parametrize(
    ("inside", "outside", "bounds"),
    [
        (1, 2, {"at_most": 1.5}),
        (1, 2, {"at_least": 1, "at_most": 1}),
        (2**53, 2**53 + 1, {"at_most": 2**53}),
        (2**63 - 1, -(2**63), {"at_least": 0, "at_most": 10**40}),
        (2**63 - 1, -(2**63), {"at_least": 0, "at_most": math.inf}),
        (-0.0, math.nan, {"at_least": Decimal(0)}),
        (0.1, math.nextafter(0.1, 0), {"at_least": Decimal("0.1")}),
        (math.nextafter(0.3, 0), 0.30000000000000004, {"at_most": Decimal("0.3")}),
        (Decimal("0.10"), Decimal("0.11"), {"at_most": Decimal("0.1")}),
        (Decimal("0.10"), Decimal("0.09"), {"at_least": 0.1, "at_most": 1.5}),
        (Decimal("1e20"), Decimal("1e20") + 1, {"at_most": 10**20}),
        (date(2026, 1, 2), date(2026, 1, 3), {"at_most": date(2026, 1, 2)}),
        (NOON, datetime.fromisoformat("2026-01-01T23:59:59"), {"at_least": date(2026, 1, 2)}),
        (NOON, datetime.fromisoformat("2026-01-02T12:00:01"), {"at_most": NOON}),
        (UTC_NOON, datetime(2026, 1, 2, 13, tzinfo=UTC), {"at_most": UTC_NOON}),
        (UTC_NOON, datetime(2026, 1, 1, 13, tzinfo=UTC), {"at_least": date(2026, 1, 2)}),
    ],
)
def test_in_range_compares_exactly(inside: Any, outside: Any, bounds: dict[str, Any]) -> None:
    check = checks.in_range("a", **bounds)
    assert result(check, table(a=[inside, None])).passed
    assert row_numbers(result(check, table(a=[inside, outside, None]))) == ["2"]


# Those of the SQL that checks, of DuckDB, and of SQL itself.
RESERVED = ["nth of its values", "row number", "number", "is_true", "key_0", "key_1", "value_0"]
RESERVED += ["file", "checked", "file_row_number", "filename", "file_index", "rowid"]
RESERVED += ["columns", "exclude", "at", "select"]
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=3)
ANY_NAME = st.one_of(st.sampled_from(RESERVED), st.sampled_from(RESERVED).map(str.title), ANY_TEXT)


@given(st.data(), st.lists(ANY_NAME, min_size=1, max_size=4, unique_by=str.casefold))
def test_columns_of_any_name_are_checked_by_their_values(
    data: st.DataObject, names: list[str]
) -> None:
    row = st.tuples(*(st.sampled_from([1, 2, None]) for _ in names))
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    key = data.draw(
        st.lists(st.sampled_from(range(len(names))), min_size=1, max_size=2, unique=True)
    )
    place = key[0]
    name = names[place]
    identifier = '"' + name.replace('"', '""') + '"'
    table = pa.table([pa.array(column, pa.int64()) for column in zip(*rows, strict=True)], names)

    unique, not_null, in_range, condition, rise = run(
        [
            checks.unique(*(names[number] for number in key)),
            checks.not_null(name),
            checks.in_range(name, at_most=1),
            checks.expression(f"{identifier} = 1 -- one"),
            checks.change(name, within=0),
        ],
        table,
    )

    keys = [tuple(values[number] for number in key) for values in rows]
    assert_found(unique, names, rows, [keys[at] in keys[:at] for at in range(len(keys))])
    assert_found(not_null, names, rows, [values[place] is None for values in rows])
    assert_found(in_range, names, rows, [values[place] == 2 for values in rows])
    assert_found(condition, names, rows, [values[place] != 1 for values in rows])
    assert rise.value == sum(values[place] or 0 for values in rows)


def assert_found(
    found: CheckResult, names: list[str], rows: list[Any], is_wrong: list[bool]
) -> None:
    """The rows that are wrong are counted, and the first five of them are shown as they are."""
    wrong = [number for number, fails in enumerate(is_wrong, start=1) if fails]
    assert (found.passed, found.value) == (not wrong, len(wrong)), found.name
    for shown, number in zip(found.rows, wrong[:5], strict=True):
        texts = ["NULL" if value is None else str(value) for value in rows[number - 1]]
        assert shown == dict(zip(names, texts, strict=True)) | {"row number": str(number)}


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (checks.expression("score >"), "syntax error"),
        (checks.expression("sum(score) > 1"), "aggregates"),
        (
            checks.expression("score > 1) OR (SELECT true FROM read_csv('/etc/passwd')"),
            "disabled by configuration",
        ),
        (checks.expression("('x' || score)::BIGINT > 1"), "Could not convert string 'x1'"),
        (
            checks.in_range("score", at_least=date(2026, 1, 1)),
            "Cannot compare values of type ",
        ),
        (checks.change("word", within=1), "sum(VARCHAR)"),
        (checks.change("odd", within=1), "cannot compare odd: its total is "),
        *(
            (check, "column plays does not exist. The columns are score, word, odd.")
            for check in (
                checks.unique("plays"),
                checks.not_null("score", "plays"),
                checks.in_range("plays", at_least=0),
                checks.change("plays", within=0),
            )
        ),
        *(
            (checks.expression(f'"{made}" = 1'), f'Referenced column "{made}" not found')
            for made in ("row number", "number", "is_true", "file_row_number", "filename")
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Check) else value,
)
def test_a_check_that_cannot_run_fails(check: Check, says: str) -> None:
    found = result(check, table(score=[1, 2], word=["a", "b"], odd=[math.inf, 1.0]))
    assert not found.passed
    assert found.message.startswith("Cannot run this check: ")
    assert says in found.message
    assert "\n" not in found.message
    assert not re.search("(Binder|Parser|Catalog|Conversion) Error", found.message)


def test_a_check_that_needs_more_memory_than_allowed_is_no_finding() -> None:
    """What the rows are is not known then, and more memory helps."""
    numbers = "SELECT list(range) AS l FROM range(30_000_000)"
    check = checks.expression(f"score < (SELECT max(len(l)) FROM ({numbers}))")
    with pytest.raises(MemoryLimitError, match="ATHENA_REPORTS_MEMORY_LIMIT"):
        run_alone(check, scores([1]))


# --- change


def manifest(check: Check, rows: pa.Table) -> Any:
    """What a publication of these rows leaves behind, through JSON as it does."""
    kept = result(check, rows).model_dump_json()
    return SimpleNamespace(rows=len(rows), checks=[CheckResult.model_validate_json(kept)])


TENTHS = st.integers(-30, 30).map(lambda tenths: Decimal(tenths) / 10)


@given(
    st.lists(st.none() | TENTHS, max_size=6),
    st.lists(st.none() | TENTHS, max_size=6),
    st.sampled_from(["0", "0.1", "0.3", "1", "2.5"]),
)
@example([Decimal("1.0")], [Decimal("1.3")], "0.3")
@example([Decimal("-1.0")], [Decimal("-1.3")], "0.3")
def test_change_of_a_total(before: list[Any], now: list[Any], within: str) -> None:
    earlier, later = (
        pa.table({"score": pa.array(values, pa.decimal128(10, 1))}) for values in (before, now)
    )
    check = checks.change("score", within=float(within))
    found = result(check, later, previous_period=manifest(check, earlier))

    old, new = (sum(map(Fraction, filter(None, values)), Fraction()) for values in (before, now))
    assert found.value == pytest.approx(float(new))
    assert found.passed == (abs(new - old) <= Fraction(within) * abs(old))


def test_change_compares_with_what_it_was_told_to() -> None:
    few, many = (SimpleNamespace(rows=rows, checks=[]) for rows in (1, 100))
    period = checks.change("rows", within=0.1)
    version = checks.change("rows", within=0.1, against="previous_version")

    found = run([period, version], scores([1] * 100), previous_period=few, previous_version=many)
    assert [(each.passed, each.message) for each in found] == [
        (
            False,
            "The number of rows is 100, compared with 1 in the previous period (+9900.0%);"
            " expected a change within"
            " 10.0%.",
        ),
        (
            True,
            "The number of rows is 100, compared with 100 in the previous version (+0.0%);"
            " expected a change within"
            " 10.0%.",
        ),
    ]


def test_change_finds_the_figure_of_a_check_with_other_limits_and_else_passes_and_says_so() -> None:
    before = manifest(
        checks.change("score", within=9, against="previous_version", severity="warn"), scores([10])
    )
    check = checks.change("score", within=0.1)
    found = result(check, scores([12]), previous_period=before)
    after = (
        "The total of score is 12, compared with 10 in the previous period (+20.0%); expected a"
        " change within 10.0%."
    )
    assert (found.passed, found.message) == (False, after)

    other = manifest(checks.change("scores", within=0), table(scores=[7]))
    for previous in (None, SimpleNamespace(rows=3, checks=[]), other):
        found = result(check, scores([12]), previous_period=previous, previous_version=before)
        nothing = "The total of score is 12; not compared: the previous period has no such figure."
        assert (found.passed, found.message) == (True, nothing)


def test_change_is_exact_for_great_numbers() -> None:
    check = checks.change("score", within=0)
    before = manifest(check, scores([2**63 - 1, 2**63 - 1, 1]))

    assert before.checks[0].value == 2**64 - 1
    assert result(check, scores([2**63 - 1, 1, 2**63 - 1]), previous_period=before).passed
    assert not result(check, scores([2**63 - 1, 2**63 - 1, 2]), previous_period=before).passed


# --- the columns


TYPED = pa.schema(
    [
        ("rank", pa.int64()),
        ("score", pa.decimal128(10, 2)),
        ("at", pa.timestamp("ms")),
        ("tags", pa.list_(pa.string())),
    ]
)
NAMED = {
    "rank": "bigint",
    "score": "DECIMAL(10, 2)",
    "at": "timestamp",
    "tags": "array<varchar>",
}


@pytest.mark.parametrize("declare", [checks.schema, promised])
@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({**NAMED, "rank": "integer"}, "'rank' is bigint, declared as int"),
        ({**NAMED, "score": "decimal(10,3)"}, "'score' is decimal(10,2), declared as"),
        ({**NAMED, "tags": "array<bigint>"}, "'tags' is array<string>, declared as array<bigint>"),
        ({**NAMED, "plays": "bigint"}, "'plays' is missing, declared as bigint"),
        ({"at": "timestamp", "tags": "string"}, "'score' is decimal(10,2), declared as no column"),
    ],
)
def test_other_columns_than_those_declared_are_named(
    declare: Any, columns: dict[str, str], problem: str
) -> None:
    found = result(declare(columns), TYPED.empty_table())
    assert not found.passed
    assert found.message.startswith("The columns do not match the declaration: ")
    assert problem in found.message
    assert found.message.endswith(
        ". CAST or rename them in the SQL (AS) or in the transform, or correct the declaration."
    )


def test_the_order_of_columns_counts_for_a_schema_only() -> None:
    in_other_order = dict(reversed(NAMED.items()))
    for check in (checks.schema(NAMED), promised(NAMED), promised(in_other_order)):
        assert result(check, TYPED.empty_table()).message == "The columns match the declaration."
    found = result(checks.schema(in_other_order), TYPED.empty_table())
    assert "the order is rank, score, at, tags, declared as tags, at, score, rank" in found.message


# --- all of them


def test_failures_name_each_check_that_forbids_to_publish_with_its_rows() -> None:
    rows = table(user_id=["u1", "u1"], score=[1, None])
    warns = checks.not_null("score", severity="warn")
    declared = [
        checks.unique("user_id"),
        warns,
        checks.in_range("score", at_least=2),
        checks.rows(at_least=2),
    ]
    assert (
        failures(run(declared, rows))
        == "Check unique(user_id) failed: 1 of 2 rows repeat the user_id of an earlier row."
        " Examples: row number 2, user_id u1, score NULL. Check in_range(score, at_least=2) failed:"
        " 1 of 2 rows have a score outside the range at_least=2. Examples: row number 1, score 1,"
        " user_id u1."
    )
    assert failures(run([warns], rows)) == ""


def test_a_condition_is_told_in_words_if_it_has_some() -> None:
    check = checks.expression("score > 0", description="scores are positive")
    found = result(check, scores([1, 0]))
    assert found.name == "expression(scores are positive)"
    assert found.message == "1 of 2 rows do not satisfy: scores are positive."


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: checks.rows(), "set at_least, at_most, or both."),
        (lambda: checks.rows(at_least=2, at_most=1), "at_least (2) is greater than at_most (1)."),
        (
            lambda: checks.rows(at_least=-5),
            "field 'at_least': -5 is not valid: expected 0 or more.",
        ),
        (lambda: checks.unique(), "columns []: list at least one column, each only once."),
        (lambda: checks.unique("a", "a"), "each only once"),
        (lambda: checks.not_null(""), "at least one column"),
        (lambda: checks.in_range("a"), "set at_least, at_most, or both"),
        *(
            (lambda part=part: checks.change("a", within=part), f"field 'within': {part} is not")
            for part in (-0.1, math.nan, math.inf)
        ),
        (
            lambda: checks.change("a", within=1, against="yesterday"),  # type: ignore[arg-type]
            "'yesterday' is not valid: expected 'previous_period' or 'previous_version'.",
        ),
        (lambda: checks.schema({"a": "bigit"}), "bigit is not a supported type"),
        (
            lambda: checks.unique("a", severity="error"),  # type: ignore[arg-type]
            "unique(), field 'severity': 'error' is not valid: expected 'fail' or 'warn'.",
        ),
    ],
)
def test_a_mistake_is_refused_where_it_is_declared(declare: Any, says: str) -> None:
    with pytest.raises((ReportError, ValueError)) as caught:
        declare()
    assert says in str(caught.value)


SECRET = 987_654_321
SECRETS = [SECRET, 3 * SECRET, SECRET - 1]  # a value, their total, and that of the period before


@pytest.mark.parametrize(
    "check",
    [
        checks.unique("name"),
        checks.unique("name", "Salary"),
        checks.not_null("salary", "name"),
        checks.in_range("salary", at_most=5),
        checks.expression("salary < 5"),
        checks.expression("salary::VARCHAR::DATE IS NULL"),  # an error that quotes the value
        checks.change("salary", within=0.1),
        checks.change("SALARY", within=0.1),
    ],
    ids=lambda check: check.name,
)
def test_no_message_quotes_a_private_column(check: Check) -> None:
    rows = table(name=["a", "a", None], salary=[SECRET] * 3)
    earlier = CheckResult(
        name=check.name, severity="fail", passed=True, message="", value=SECRET - 1
    )
    baseline = SimpleNamespace(rows=1, checks=[earlier])
    with engine() as opened:
        local = write_table(opened.connection.from_arrow(rows), opened)
        private = local.model_copy(update={"private_columns": frozenset({"salary"})})
        (as_usual,) = run_checks([check], local, opened, previous_period=baseline)
        (found,) = run_checks([check], private, opened, previous_period=baseline)
    assert (found.passed, found.value) == (as_usual.passed, as_usual.value) == (False, found.value)
    assert _quoted_secrets(as_usual)
    assert not _quoted_secrets(found)


def _quoted_secrets(finding: CheckResult) -> list[int]:
    """Return what an alert would have of a private column."""
    text = f"{finding.message} {failures([finding])} {finding.rows}".replace(",", "")
    return [secret for secret in SECRETS if str(secret) in text]
