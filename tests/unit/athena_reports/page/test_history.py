"""The history of the first entries of a period, through the periods before."""

import re
from typing import Any

import pytest

from athena_reports.page.history import HISTORY_ENTRIES, History, find_history
from athena_reports.page.published_reports import SHOWN_ROWS
from athena_reports.periods.calendar import Period, weekly
from tests.support.page_publisher import PASSED, Publisher, ranking
from tests.support.partition_facts import periods_from
from tests.unit.athena_reports.page.account import WEEK, Account, report_dag

SCORES = report_dag("scores")


def history_of(account: Account, period: Period) -> History:
    history = find_history(account.reports, SCORES, period.id)
    assert not history.problems
    return history


def test_history_follows_the_first_entries_through_the_periods_before(
    account: Account, publisher: Publisher
) -> None:
    gap = WEEK.next
    for week in (WEEK, gap.next, gap.next.next):
        publisher.put(week, key=["user_id"])
    found = history_of(account, gap.next)
    top = ranking(gap.next)[:HISTORY_ENTRIES]
    assert found.names == [(row["user_name"] or row["user_id"],) for row in top]
    before = {row["user_id"]: measures(row) for row in ranking(WEEK)}
    assert found.measures == [[before.get(row["user_id"]), measures(row)] for row in top]
    assert (found.columns, found.note) == (["score", "plays"], "")
    assert found.periods == [WEEK.id, gap.next.id]


def measures(row: dict[str, Any]) -> tuple[str, ...]:
    return (str(row["score"]), str(row["plays"]))


def test_history_leaves_out_the_weeks_that_were_published_before_first_day_was_changed(
    account: Account, publisher: Publisher
) -> None:
    since_monday = account.publisher("scores", weekly("monday", "Asia/Tokyo"))
    since_monday.put(since_monday.cadence.containing(WEEK.end_utc), key=["user_id"])
    for week in (WEEK, WEEK.next.next):
        publisher.put(week, key=["user_id"])
    assert history_of(account, WEEK.next.next).periods == [WEEK.id, WEEK.next.next.id]


SALES: list[dict[tuple[str | None, str | None], int]] = [
    {
        ("Quito", "GROCERY"): 7,
        ("Cuenca", "GROCERY"): 5,
        ("Quito", "DAIRY"): 4,
        ("a", "b, c"): 2,
        ("", None): 1,
    },
    {("Cuenca", "GROCERY"): 30, ("a, b", "c"): 20, (None, "GROCERY"): 15, (None, None): 10},
    {
        ("Quito", "GROCERY"): 90,
        (None, "GROCERY"): 80,
        ("", "GROCERY"): 70,
        (None, None): 60,
        ("a", "b, c"): 50,
    }
    | {("Cuenca", "GROCERY"): 40, ("Loja", "GROCERY"): 30, ("Quito", "DAIRY"): 20},
]
"""The sales of three weeks by store and family; NULL is a store of its own, or a family."""


def test_history_follows_entries_that_two_columns_tell_apart(
    account: Account, publisher: Publisher
) -> None:
    """And names each by both."""
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for week, sales in zip(weeks, SALES, strict=True):
        rows = [
            {"store": store, "family": family, "sales": each}
            for (store, family), each in sales.items()
        ]
        publisher.put(week, rows=rows, key=["store", "family"])
    found = history_of(account, weeks[-1])

    top = [*SALES[-1]][:HISTORY_ENTRIES]
    assert found.measures == [
        [(str(sales[key]),) if key in sales else None for sales in SALES] for key in top
    ]
    names = [("Quito", "GROCERY"), ("NULL", "GROCERY"), ("", "GROCERY")]
    assert found.names == [*names, ("NULL", "NULL"), ("a", "b, c")]
    assert (found.periods, found.note) == ([week.id for week in weeks], "")


def test_without_a_key_there_is_no_history_and_the_page_says_so(
    account: Account, publisher: Publisher
) -> None:
    """What a check is called says nothing: `PASSED` is named `unique(user_id)`."""
    for week in (WEEK, WEEK.next):
        publisher.put(week, checks=[PASSED])
    answer = history_of(account, WEEK.next)
    assert (answer.periods, answer.names, answer.measures) == ((), (), ())
    assert answer.note.startswith("No history: the report has no key.")


def test_an_entry_that_several_rows_of_a_period_are_has_no_value_there(
    account: Account, publisher: Publisher
) -> None:
    """The key was not declared yet, or its check only warned. Here are more rows than are read."""
    before = (
        "SELECT * FROM (VALUES ('a', 'x', 1), ('b', 'x', 3)) UNION ALL SELECT 'c', 'x', n"
        f" FROM range({2 * SHOWN_ROWS}) r(n) UNION ALL VALUES ('a', 'x', 2)"
    )
    now = "VALUES ('a', 'x', 10), ('b', 'x', 9), ('c', 'x', 8)"
    for week, rows in ((WEEK, before), (WEEK.next, now)):
        sql = f"SELECT * FROM ({rows}) t(store, family, sales)"
        publisher.put(week, rows=sql, key=["store", "family"] if rows is now else [])
    answer = history_of(account, WEEK.next)
    assert answer.names == [("a", "x"), ("b", "x"), ("c", "x")]
    assert answer.measures == [[None, ("10",)], [("3",), ("9",)], [None, ("8",)]]


def test_a_period_without_one_of_the_columns_has_no_values(
    account: Account, publisher: Publisher
) -> None:
    """Its one row of a store is the total, and not that of no family."""
    publisher.put(WEEK, rows="SELECT 'a' AS store, 5 AS sales", key=["store"])
    rows = "SELECT * FROM (VALUES ('a', NULL, 3), ('a', 'x', 2)) t(store, family, sales)"
    publisher.put(WEEK.next, rows=rows, key=["store", "family"])
    assert history_of(account, WEEK.next).measures == [[None, ("3",)], [None, ("2",)]]


def test_history_of_a_single_row_is_a_line_whatever_its_text_is(
    account: Account, publisher: Publisher
) -> None:
    """Its text may differ in each period, unless a check says that it tells rows apart."""
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for number, week in enumerate(weeks):
        publisher.put(week, rows=f"SELECT 'week {number}' AS name, {number} AS total")
    publisher.put(
        weeks[1],
        rows="SELECT name, 5 AS total FROM (VALUES ('a'), ('b')) t(name)",
        at=weeks[-1].end_utc,
    )
    found = history_of(account, weeks[-1])
    assert found.periods == [week.id for week in weeks]
    assert found.names == [("scores",)]
    assert found.measures == [[("0",), None, ("2",)]]


def test_a_period_that_cannot_be_read_hides_no_other(
    account: Account, publisher: Publisher
) -> None:
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for week in weeks:
        publisher.put(week, rows="SELECT 'a' AS name, 4 AS total", key=["name"])
    damaged = account.reports.manifest(SCORES, weeks[1].id)
    account.s3.put_object(Bucket=account.bucket, Key=damaged.parquet_key, Body=b"no parquet at all")
    history = find_history(account.reports, SCORES, weeks[-1].id)
    assert history.measures == [[("4",), None, ("4",)]]
    (problem,) = history.problems
    assert re.search(rf"{weeks[1].id}/.* as Parquet: ", problem)

    key = f"scores/weekly/{weeks[0].id}/manifest.json"
    account.s3.put_object(Bucket=account.bucket, Key=key, Body=b'{"hello": 1}')
    history = find_history(account.reports, SCORES, weeks[-1].id)
    assert history.measures == [[None, None, ("4",)]]
    damaged_manifest, _ = history.problems
    assert "is not a document of this report" in damaged_manifest


@pytest.mark.ci
def test_history_has_the_twelve_periods_up_to_one_and_no_later_one(
    account: Account, publisher: Publisher
) -> None:
    weeks = periods_from(WEEK, 15)
    for week in weeks:
        publisher.put(week, key=["user_id"])
    found = history_of(account, weeks[-2])
    assert found.periods == [week.id for week in weeks[2:-1]]
    assert [len(values) for values in found.measures] == [12] * HISTORY_ENTRIES


def test_a_period_without_a_number_has_no_history(account: Account, publisher: Publisher) -> None:
    publisher.put(WEEK, rows="SELECT 'a' AS name, 1 AS rank", key=["name"])
    found = history_of(account, WEEK)
    assert found == History()
