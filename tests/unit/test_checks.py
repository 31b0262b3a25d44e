from __future__ import annotations

import errno
import io
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports import checks, tally
from athena_reports.checks import Check, CheckResult, failures, watch

PLUGINS = Path(checks.__file__).parents[1]
CUTS = st.lists(st.integers(0, 4), max_size=6)
SCORES = st.lists(st.none() | st.integers(-3, 3), max_size=12)


def table(**columns: Sequence[Any]) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def scores(values: Sequence[int | None]) -> pa.Table:
    return pa.table({"score": pa.array(values, pa.int64())})


def cut(rows: pa.Table, sizes: Iterable[int]) -> Iterable[pa.RecordBatch]:
    """Cut rows into batches of these sizes, and one of what is left."""
    start = 0
    for size in [*sizes, len(rows)]:
        columns = [
            pa.concat_arrays([column[:0].combine_chunks(), *column.slice(start, size).chunks])
            for column in rows.columns
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=rows.schema)
        start += size


def run(
    declared: Sequence[Check],
    rows: pa.Table,
    sizes: Iterable[int] = (),
    previous: Mapping[str, Any] | None = None,
    current: Mapping[str, Any] | None = None,
) -> tuple[CheckResult, ...]:
    with watch(declared) as watching:
        for batch in cut(rows, sizes):
            watching.see(batch)
        return watching.conclude(previous, current)


def result(check: Check, rows: pa.Table, sizes: Iterable[int] = (), **manifests: Any) -> CheckResult:
    (found,) = run([check], rows, sizes, **manifests)
    assert (found.name, found.severity) == (check.name, check.severity)
    return found


def row_numbers(found: CheckResult) -> list[str]:
    return [row["row number"] for row in found.rows]


# rows


@given(st.integers(0, 6), CUTS, st.none() | st.integers(0, 6), st.none() | st.integers(0, 6))
def test_rows_are_counted(rows: int, cuts: list[int], at_least: int | None, at_most: int | None) -> None:
    if (at_least, at_most) == (None, None) or (at_least or 0) > (6 if at_most is None else at_most):
        with pytest.raises(ValueError, match="rows"):
            checks.rows(at_least=at_least, at_most=at_most)
        return
    found = result(checks.rows(at_least=at_least, at_most=at_most), scores([1] * rows), cuts)

    assert found.value == rows
    enough = at_least is None or rows >= at_least
    assert found.passed == (enough and (at_most is None or rows <= at_most))


def test_rows_says_what_was_expected() -> None:
    check = checks.rows(at_least=1, at_most=1000, severity="warn")

    assert check.name == "rows(at_least=1, at_most=1000)"
    assert result(check, scores([])).message == "There are 0 rows; expected at_least=1, at_most=1000."


# unique


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "", None])), max_size=15), CUTS)
def test_unique_finds_rows_that_repeat_others(rows: list[tuple[int, str | None]], cuts: list[int]) -> None:
    batch = pa.table(
        {"id": [number for number, _ in rows], "name": [name for _, name in rows]},
        schema=pa.schema([("id", pa.int64()), ("name", pa.string())]),
    )
    found = result(checks.unique("id", "name"), batch, cuts)
    times = Counter(rows)
    repeated = [row for row in dict.fromkeys(rows) if times[row] > 1]

    assert found.passed == (not repeated)
    assert found.value == len(rows) - len(times)
    assert [(row["id"], row["name"]) for row in found.rows] == [
        (str(number), "NULL" if name is None else name) for number, name in repeated[:5]
    ]


def test_unique_names_the_rows() -> None:
    rows = table(user_id=["u1", "u2", "u1", "u3", "u3", "u3"], rank=[1, 2, 3, 4, 5, 6])
    found = result(checks.unique("user_id"), rows, [2, 2])

    assert found == CheckResult(
        "unique(user_id)",
        "fail",
        False,
        "3 of 6 rows repeat the user_id of one before.",
        (
            {"row number": "1 and 3", "user_id": "u1"},
            {"row number": "4 to 6, 3 times", "user_id": "u3"},
        ),
        3,
    )


def test_unique_lets_go_of_its_file_and_reports_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    disk = FullDisk()
    monkeypatch.setattr(tally.tempfile, "TemporaryFile", lambda **_: disk)
    with pytest.raises(OSError, match="No space left"):
        result(checks.unique("score"), scores(list(range(200_000))))
    assert disk.closed


# not_null


@given(st.lists(st.tuples(st.none() | st.integers(0, 1), st.none() | st.integers(0, 1)), max_size=15), CUTS)
def test_not_null_finds_rows_with_null(rows: list[tuple[int | None, int | None]], cuts: list[int]) -> None:
    batch = pa.table(
        {"a": [a for a, _ in rows], "b": [b for _, b in rows]},
        schema=pa.schema([("a", pa.int64()), ("b", pa.int64())]),
    )
    for columns, wrong in (
        (["a"], [number for number, (a, _) in enumerate(rows, 1) if a is None]),
        (["a", "b"], [number for number, row in enumerate(rows, 1) if None in row]),
    ):
        found = result(checks.not_null(*columns), batch, cuts)
        assert found.passed == (not wrong)
        assert found.value == len(wrong)
        assert row_numbers(found) == [str(number) for number in wrong[:5]]


def test_an_offending_row_is_shown_with_its_first_columns_and_short_values() -> None:
    wide = {f"c{number}": [number] for number in range(30)}
    found = result(checks.not_null("z"), table(text=["x" * 200], **wide, z=pa.array([None], pa.string())))

    assert found.message == "1 of 1 rows have NULL in z."
    (row,) = found.rows
    assert list(row)[:4] == ["row number", "z", "text", "c0"]
    assert len(row) == 21
    assert row["z"] == "NULL"
    assert row["text"] == "x" * 77 + "..."


# in_range


@given(SCORES, CUTS, st.integers(-3, 3), st.integers(0, 3))
def test_in_range_finds_values_outside(
    values: list[int | None], cuts: list[int], at_least: int, width: int
) -> None:
    at_most = at_least + width
    wrong = [
        number
        for number, value in enumerate(values, 1)
        if value is not None and not at_least <= value <= at_most
    ]
    found = result(checks.in_range("score", at_least=at_least, at_most=at_most), scores(values), cuts)

    assert found.passed == (not wrong)
    assert found.value == len(wrong)
    assert row_numbers(found) == [str(number) for number in wrong[:5]]


UTC_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOON = datetime.fromisoformat("2026-01-02T12:00:00")


@pytest.mark.parametrize(
    ("inside", "outside", "bounds"),
    [
        (2**53, 2**53 + 1, {"at_most": float(2**53)}),
        (-(2**53), -(2**53) - 1, {"at_least": float(-(2**53))}),
        (2**63 - 1, -(2**63), {"at_least": 0, "at_most": 10**30}),
        (0.0, math.nan, {"at_least": 0}),
        (0.0, math.nan, {"at_least": Decimal(0)}),
        (1e308, math.inf, {"at_most": 10**400}),
        (Decimal("0.10"), Decimal("0.11"), {"at_most": Decimal("0.1")}),
        (Decimal("0.10"), Decimal("-0.01"), {"at_least": 0, "at_most": 1.5}),
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
    found = result(check, table(a=[inside, outside, None]), [1])
    assert row_numbers(found) == ["2"]
    assert not found.passed


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        ("a", {"at_least": 0}),
        ([1], {"at_least": 0}),
        (1, {"at_least": date(2026, 1, 1)}),
        (date(2026, 1, 1), {"at_least": NOON}),
        (NOON, {"at_least": UTC_NOON}),
    ],
)
def test_in_range_of_what_does_not_compare_fails(value: Any, bounds: dict[str, Any]) -> None:
    found = result(checks.in_range("a", **bounds), table(a=[value]))

    assert not found.passed
    assert "It cannot be checked: a is " in found.message
    assert "which does not compare with at_least=" in found.message


# expression


@given(SCORES, CUTS)
def test_expression_passes_only_where_it_is_true(values: list[int | None], cuts: list[int]) -> None:
    check = checks.expression("score is positive", lambda batch: pc.greater(batch["score"], 0))
    wrong = [number for number, value in enumerate(values, 1) if value is None or value <= 0]
    found = result(check, scores(values), cuts)

    assert check.name == "expression(score is positive)"
    assert found.passed == (not wrong)
    assert found.value == len(wrong)
    assert row_numbers(found) == [str(number) for number in wrong[:5]]
    assert found.message == f"{len(wrong)} of {len(values)} rows do not satisfy: score is positive."


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda batch: batch["plays"], "the function raised KeyError: "),
        (lambda batch: batch["score"], "it has to return a boolean pyarrow.Array, one value for each."),
        (lambda _: True, "the function returned True for 3 rows; it has to return a boolean"),
        (lambda _: pa.array([True]), "the function returned "),
    ],
)
def test_expression_that_is_wrong_fails(function: Any, says: str) -> None:
    found = result(checks.expression("it holds", function), scores([1, 2, 3]))

    assert not found.passed
    assert says in found.message


# change


def manifest(check: Check, rows: pa.Table) -> dict[str, Any]:
    """What a publication of these rows leaves behind, through JSON as it does."""
    kept = {"rows": len(rows), "checks": [result(check, rows).to_dict()]}
    read: dict[str, Any] = json.loads(json.dumps(kept))
    return read


TENTHS = st.integers(-30, 30).map(lambda tenths: Decimal(tenths) / 10)


@given(
    st.lists(st.none() | TENTHS, max_size=6),
    st.lists(st.none() | TENTHS, max_size=6),
    st.sampled_from(["0", "0.1", "0.3", "1", "2.5"]),
    CUTS,
)
@example([Decimal("1.0")], [Decimal("1.3")], "0.3", [])
@example([Decimal("-1.0")], [Decimal("-1.3")], "0.3", [])
def test_change_of_a_total(before: list[Any], now: list[Any], within: str, cuts: list[int]) -> None:
    kind = pa.decimal128(10, 1)
    earlier, later = (pa.table({"score": pa.array(values, kind)}) for values in (before, now))
    check = checks.change("score", within=float(within))
    found = result(check, later, cuts, previous=manifest(check, earlier), current=None)

    old, new = (sum(Fraction(value) for value in values if value is not None) for values in (before, now))
    assert found.value == pytest.approx(float(new))
    assert found.passed == (abs(new - old) <= Fraction(within) * abs(old))


@given(st.integers(0, 12), st.integers(0, 12), CUTS)
def test_change_of_the_number_of_rows(before: int, now: int, cuts: list[int]) -> None:
    check = checks.change("rows", within=0.5, against="previous_version")
    found = result(check, scores([1] * now), cuts, current={"rows": before, "checks": []}, previous=None)

    assert found.value == now
    assert found.passed == (abs(now - before) * 2 <= before)


def test_change_compares_with_what_it_was_told_to() -> None:
    few, many = {"rows": 1, "checks": []}, {"rows": 100, "checks": []}
    period = checks.change("rows", within=0.1)
    version = checks.change("rows", within=0.1, against="previous_version")

    found = run([period, version], scores([1] * 100), previous=few, current=many)
    assert [each.passed for each in found] == [False, True]
    assert found[0].message == "100 rows, after 1 in the previous period (+9900.0%); expected within 10.0%."
    assert found[1].message == "100 rows, after 100 in the previous version (+0.0%); expected within 10.0%."


def test_change_without_anything_to_compare_with_passes_and_says_so() -> None:
    check = checks.change("score", within=0)
    other = manifest(checks.change("scores", within=0), table(scores=[7]))

    for previous in (None, {"rows": 3, "checks": []}, other):
        found = result(check, scores([1, 2]), previous=previous, current={"rows": 9, "checks": []})
        assert found.passed
        assert found.message == ("The total of score is 3; the previous period has nothing to compare with.")


def test_change_finds_the_figure_of_a_check_with_other_limits() -> None:
    before = manifest(
        checks.change("score", within=9, against="previous_version", severity="warn"), scores([10])
    )
    found = result(checks.change("score", within=0.1), scores([12]), previous=before)

    assert found.message == (
        "The total of score is 12, after 10 in the previous period (+20.0%); expected within 10.0%."
    )
    assert not found.passed


def test_change_is_exact_for_great_numbers() -> None:
    check = checks.change("score", within=0)
    great = scores([2**63 - 1, 2**63 - 1, 1])

    found = result(check, great, [1], previous=manifest(check, great))
    assert found.passed
    assert found.value == 2**64 - 1
    assert not result(check, scores([2**63 - 1, 2**63 - 1, 2]), previous=manifest(check, great)).passed


@pytest.mark.parametrize("values", [["x"], [True], [math.nan], [math.inf, 1.0]])
def test_change_of_what_has_no_total_fails(values: list[Any]) -> None:
    found = result(checks.change("a", within=1), table(a=values))

    assert not found.passed
    assert "It cannot be checked: a has no total: " in found.message


def test_change_of_floating_point() -> None:
    check = checks.change("a", within=0.25)
    before = manifest(check, table(a=[0.5, None, 0.3]))

    assert before["checks"][0]["value"] == 0.8
    assert result(check, table(a=[1.0]), previous=before).passed
    assert not result(check, table(a=[1.01]), previous=before).passed


def test_a_watch_knows_which_manifests_it_needs() -> None:
    period = checks.change("rows", within=1)
    version = checks.change("rows", within=1, against="previous_version")
    for declared, needed in (
        ([], (False, False)),
        ([checks.rows(at_least=1)], (False, False)),
        ([period], (True, False)),
        ([version], (False, True)),
        ([version, period], (True, True)),
    ):
        watching = watch(declared)
        assert (watching.compares_periods, watching.compares_versions) == needed


# schema


TYPED = pa.schema(
    [
        ("rank", pa.int64()),
        ("score", pa.decimal128(10, 2)),
        ("at", pa.timestamp("ms")),
        ("tags", pa.list_(pa.string())),
        ("clock", pa.time32("ms")),
    ]
)
NAMED = {
    "rank": "bigint",
    "score": "DECIMAL(10, 2)",
    "at": "timestamp",
    "tags": "array<string>",
    "clock": "time",
}


def test_schema_as_expected() -> None:
    assert result(checks.schema(NAMED), TYPED.empty_table()).passed


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({**NAMED, "rank": "integer"}, "rank is int64, expected integer"),
        ({**NAMED, "rank": "varchar"}, "rank is int64, expected varchar"),
        ({**NAMED, "score": "decimal(10,3)"}, "score is decimal128(10, 2), expected decimal(10,3)"),
        ({**NAMED, "tags": "array<bigint>"}, "tags is list<"),
        ({**NAMED, "plays": "bigint"}, "plays is missing"),
        ({name: NAMED[name] for name in list(NAMED)[1:]}, "rank is not expected"),
        (dict(reversed(NAMED.items())), "they come as rank, score, at, tags, clock, expected clock, tags,"),
    ],
)
def test_schema_that_differs(columns: dict[str, str], says: str) -> None:
    found = result(checks.schema(columns), TYPED.empty_table())

    assert not found.passed
    assert found.message.startswith("The columns differ: ")
    assert says in found.message
    assert found.message.count(";") == 0


def test_schema_with_a_type_that_there_is_not_fails() -> None:
    found = result(checks.schema({**NAMED, "rank": "bigit"}), TYPED.empty_table())

    assert not found.passed
    assert "It cannot be checked: its type is bigit" in found.message


# all of them


EVERY = [
    checks.rows(at_least=1),
    checks.unique("user_id"),
    checks.not_null("user_id", "score"),
    checks.in_range("score", at_least=0),
    checks.expression("score is at least 0", lambda batch: pc.greater_equal(batch["score"], 0)),
    checks.change("score", within=0.1),
    checks.change("rows", within=0.1, against="previous_version"),
    checks.schema({"user_id": "varchar", "score": "bigint"}),
]


def test_every_check_can_pass_and_fail() -> None:
    good = table(user_id=["u1", "u2"], score=[1, 2])
    bad = pa.table({"user_id": ["u1", None, None], "score": pa.array([-100, -5, 3], pa.int32())})
    published = manifest(EVERY[5], good)

    assert all(found.passed for found in run(EVERY, good, previous=published, current=published))
    found = run(EVERY[1:], bad, previous=published, current=published)
    assert not any(each.passed for each in found)
    assert not run(EVERY[:1], bad.slice(0, 0))[0].passed
    assert [each.name for each in found] == [check.name for check in EVERY[1:]]


@pytest.mark.parametrize(
    "check",
    [
        checks.unique("plays"),
        checks.not_null("score", "plays"),
        checks.in_range("plays", at_least=0),
        checks.change("plays", within=0),
    ],
    ids=lambda check: check.name,
)
def test_a_check_of_a_column_that_is_not_there_fails(check: Check) -> None:
    for rows in (scores([1, 2]), scores([])):
        found = result(check, rows, [1])
        assert not found.passed
        assert found.message == "It cannot be checked: there is no column plays; the rows have score."


def test_results_survive_json() -> None:
    found = run(EVERY, table(user_id=["u1", "u1"], score=[1, None]))
    written = json.dumps([each.to_dict() for each in found], allow_nan=False)

    assert [CheckResult.from_dict(facts) for facts in json.loads(written)] == list(found)


def test_failures_name_each_check_that_forbids_to_publish_with_its_rows() -> None:
    rows = table(user_id=["u1", "u1"], score=[1, None])
    declared = [
        checks.unique("user_id"),
        checks.not_null("score", severity="warn"),
        checks.in_range("score", at_least=2),
        checks.rows(at_least=2),
    ]
    assert failures(run(declared, rows)) == (
        "Check unique(user_id) failed: 1 of 2 rows repeat the user_id of one before. "
        "For example row number 1 and 2, user_id u1. "
        "Check in_range(score, at_least=2) failed: 1 of 2 rows have a score outside the range at_least=2. "
        "For example row number 1, score 1, user_id u1."
    )
    assert failures(run(declared[1:2], rows)) == ""


@pytest.mark.parametrize(
    ("declare", "error", "says"),
    [
        (lambda: checks.rows(), ValueError, "rows(): give at_least, at_most, or both."),
        (lambda: checks.rows(at_least=1.5), TypeError, "1.5 is no int"),
        (lambda: checks.rows(at_least=True), TypeError, "True is no int"),
        (lambda: checks.rows(at_least=2, at_most=1), ValueError, "nothing is at_least=2, at_most=1"),
        (lambda: checks.unique(), ValueError, "names no column"),
        (lambda: checks.unique("a", "a"), ValueError, "names a column twice"),
        (lambda: checks.not_null(""), ValueError, "names no column"),
        (lambda: checks.not_null(["a"]), ValueError, "names no column"),
        (lambda: checks.in_range("a"), ValueError, "give at_least, at_most, or both"),
        (lambda: checks.in_range("a", at_least="0"), TypeError, "'0' is no int or float or Decimal or date"),
        (lambda: checks.in_range("a", at_least=math.nan), ValueError, "nothing is at_least=nan"),
        (lambda: checks.in_range("a", at_least=1, at_most=date(2026, 1, 1)), TypeError, "not supported"),
        (lambda: checks.expression(" ", len), ValueError, "say in words what holds"),
        (lambda: checks.expression("holds", "score > 0"), TypeError, "no function of a record batch"),
        (lambda: checks.change("a", within="5%"), TypeError, "which is no number"),
        (lambda: checks.change("a", within=-0.1), ValueError, "expected 0 or more"),
        (lambda: checks.change("a", within=math.nan), ValueError, "expected 0 or more"),
        (
            lambda: checks.change("a", within=1, against="yesterday"),
            ValueError,
            "expected previous_period or",
        ),
        (lambda: checks.schema({}), ValueError, "give the type of each column"),
        (lambda: checks.schema({"a": int}), TypeError, "is no column with the name of its type"),
        (
            lambda: checks.unique("a", severity="error"),
            ValueError,
            "severity is 'error', expected fail or warn",
        ),
        (lambda: watch([checks.unique("a")] * 2), ValueError, "unique(a) is declared twice"),
    ],
)
def test_a_mistake_is_refused_where_it_is_declared(declare: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        declare()
    assert says in str(caught.value)


def test_declaring_checks_and_transforms_does_not_import_pyarrow() -> None:
    script = (
        "import sys; from athena_reports import checks, transforms;"
        "checks.unique('a'), checks.schema({'a': 'bigint'}), checks.in_range('a', at_least=0);"
        "transforms.rank('a'), transforms.cast({'a': 'bigint'});"
        "transforms.each_row(lambda row: row, adds={'a': 'date'});"
        "assert 'pyarrow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(PLUGINS)}, check=True)
