"""`plan` in a shell: what it asks, what each answer pays, and what it says of each period."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from local_athena.faults import End, Faults
from tests.services.commands.project import (
    CTRL_C,
    ENVIRONMENT,
    WEEKS,
    Done,
    Project,
    sold,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
DAGS = "dags/shop.py"
SQL = "include/sql/items.sql"
RESULTS = f"athena-query-result-{ENVIRONMENT}"
# Changes one item of one week: on 2025-06-10 the amount of the first item is 100.
EDIT = ("SUM(amount)", "SUM(IF(amount = 100, 1000, amount))")
EDITED_WEEK = WEEKS[1]
COUNTS = ["rows", "added", "removed", "changed", "in columns"]


def table(done: Done) -> list[dict[str, str]]:
    """The rows of the Markdown table, by the names in its header."""
    lines = [line for line in done.lines if line.startswith("| ")]
    header, _, *rows = ([cell.strip() for cell in line[1:-1].split(" | ")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def paid(done: Done) -> Counter[str]:
    """How many queries were paid, by their SQL; each is one of this command."""
    for query in done.queries:
        assert (query.command, query.workgroup) == ("plan", ENVIRONMENT)
        assert (query.database, query.state) == (f"database_{ENVIRONMENT}", "SUCCEEDED")
    return Counter(query.sql for query in done.queries)


def sql_of(shop: Project, *weeks: str) -> list[str]:
    """The SQL of weeks, as `preview` shows it."""
    return [shop.run("preview", "items", week, "--json").json["sql"] for week in weeks]


def scanned(done: Done) -> int:
    return sum(query.scanned_bytes for query in done.queries)


def test_it_asks_what_it_pays_and_a_yes_pays_the_last_three_periods(shop: Project) -> None:
    done = shop.run("plan", "items", answers="y\n")
    assert done.code == 0
    # Three times the median of the scans: of equal weeks, and of a shorter one.
    most = max(query.scanned_bytes for query in done.queries)
    others, question, *progress = done.err.splitlines()
    assert others == "Planning items_weekly only. To plan another DAG, name it: items_monthly"
    assert question == (
        f"Run the queries of items_weekly for {', '.join(WEEKS)} (about {3 * most / 1000:.1f} kB,"
        f" 0.00015 USD)? [y/N]: items_weekly {WEEKS[0]}"
    )
    assert progress == [f"items_weekly {week}" for week in WEEKS[1:]]
    assert done.lines[0] == "### items_weekly: 0 of 3 periods would change"
    rows = table(done)
    assert [row["period"] for row in rows] == list(WEEKS)
    for row in rows:
        assert [row[name] for name in COUNTS] == ["3", "0", "0", "0", ""]
        assert row["USD"] == "0.00005"
    assert sum(int(row["scanned bytes"]) for row in rows) == scanned(done)
    assert {uri.split("/")[2] for uri in done.objects} == {RESULTS}  # nothing is published
    assert paid(done) == Counter(sql_of(shop, *WEEKS))


@pytest.mark.parametrize("answers", ["\n", "", CTRL_C, "what\nno\n"])
def test_without_a_yes_nothing_is_paid(answers: str, shop: Project) -> None:
    shop.edit(SQL, *EDIT)
    done = shop.run("plan", "items", answers=answers)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("Aborted!\n")
    assert done.err.count("[y/N]") == 1 + answers.startswith("what")
    assert done.changed_nothing


def test_an_edit_is_shown_by_the_rows_that_it_changes(shop: Project) -> None:
    shop.edit(SQL, *EDIT)
    done = shop.run("plan", "items", answers="y\n")
    assert done.code == 0
    assert paid(done) == Counter(sql_of(shop, *WEEKS))
    assert done.lines[0] == "### items_weekly: 1 of 3 periods would change"
    assert [(row["period"], row["changed"], row["in columns"]) for row in table(done)] == [
        (WEEKS[0], "0", ""),
        (WEEKS[1], "1", "amount (1)"),
        (WEEKS[2], "0", ""),
    ]
    amounts = dict(sold(date.fromisoformat(EDITED_WEEK), 7))
    assert done.lines[-4:] == [
        "",
        f"{EDITED_WEEK}, for example:",
        "",
        f"- changed: item 茶; amount {amounts['茶']} → {amounts['茶'] + 900}",
    ]
    assert {uri.split("/")[2] for uri in done.objects} == {RESULTS}


def test_with_yes_nothing_is_asked_and_last_and_json_are_heeded(shop: Project) -> None:
    shop.edit(SQL, *EDIT)
    done = shop.run("plan", "items_weekly", "--yes", "--last", "2", "--json")
    assert done.code == 0
    assert "[y/N]" not in done.err
    assert len(done.queries) == 2
    plan = done.json
    assert plan["dag_id"] == "items_weekly"
    assert [period["period"] for period in plan["periods"]] == list(WEEKS[-2:])
    changed, unchanged = plan["periods"]
    assert changed["differences"]["key"] == ["item"]  # the check `unique` stands behind another
    assert changed["differences"]["changed"] == 1
    assert changed["rows"] == 3
    assert unchanged["differences"]["changed"] == 0
    done = shop.run("plan", "items", "--yes", "--last", "1", "--row-key", "amount", "--json")
    (period,) = done.json["periods"]
    assert period["differences"]["key"] == ["amount"]


def test_what_cannot_be_planned_is_one_message_before_any_question(shop: Project) -> None:
    done = shop.run("plan", "items", "--row-key", "colour", answers="y\ny\n", COLUMNS="200")
    assert (done.code, done.out) == (1, "")
    assert 'no column "colour". Choose the row key from item' in done.err
    assert "[y/N]" not in done.err
    assert done.changed_nothing


def test_a_query_that_fails_among_others_ends_the_plan(shop: Project, faults: Faults) -> None:
    reason = "COLUMN_NOT_FOUND"
    faults.add(End(error_type=1006, category=2, reason=reason, skip=1, workgroup=ENVIRONMENT))
    done = shop.run("plan", "items", "--yes")
    assert (done.code, done.out, len(done.queries)) == (1, "", 2)
    assert reason in done.err.splitlines()[-1]


def test_it_ends_with_the_command_that_restates_what_changes_and_could_be_published(
    shop: Project,
) -> None:
    # Each week changes, and the last one has an amount that a check forbids.
    shop.edit(SQL, "SUM(amount)", "SUM(amount) + IF(SUM(amount) > 1100, 100000, 1)")
    shop.edit(DAGS, "checks.rows(at", 'checks.in_range("amount", at_most=9999), checks.rows(at')
    done = shop.run("plan", "items", "--yes", COLUMNS="40")
    assert done.code == 1
    assert done.lines[0] == "### items_weekly: 3 of 3 periods would change"
    command = f"athena-reports run items_weekly {WEEKS[0]} {WEEKS[1]} --airflow URL"
    assert done.err.splitlines()[-1].endswith(f": {command}")
    unchanged = shop.run("plan", "audit", "--yes")
    assert unchanged.code == 0
    assert " would change" in unchanged.lines[0]
    assert "athena-reports run" not in unchanged.err


def test_a_scan_above_the_limit_is_refused_even_with_yes(shop: Project) -> None:
    shop.edit(DAGS, 'sql="items.sql",', 'sql="items.sql", max_scan="1 B",')
    done = shop.run("plan", "items", "--yes")
    assert (done.code, done.out) == (1, "")
    assert f"items_weekly, period {WEEKS[0]}, environment {ENVIRONMENT}: the query " in done.err
    assert "max_scan is 1. No query was started." in done.err
    assert done.changed_nothing


def test_no_period_is_not_taken_for_all_of_them(shop: Project) -> None:
    done = shop.run("plan", "items", "--yes", "--last", "0", COLUMNS="200")
    assert done.code == 2
    assert "Invalid value for '--last'" in done.err
    assert done.changed_nothing
