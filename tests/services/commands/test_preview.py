"""`preview` in a shell: what it says before a run, what it pays, and when it does neither."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from rich.cells import cell_len

from local_athena.faults import Faults, Throttle, ThrottleGlue
from tests.services.commands.project import (
    ABSENT_DAY,
    ENVIRONMENT,
    ITEMS,
    UNPUBLISHED_WEEK,
    WEEKS,
    Done,
    Project,
    sold,
)
from tests.support.published import read_json

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
WEEK = "2025-06-09"
WIDE = {"COLUMNS": "200"}
DAGS = "dags/shop.py"
SQL = "include/sql/items.sql"


def facts(done: Done) -> dict[str, str]:
    """The lines between the title and the SQL, by their first words; lines below go with them."""
    facts: dict[str, str] = {}
    name = ""
    for line in done.lines[1:]:
        if not line.strip():
            break
        first, _, rest = line.strip().partition("  ")
        if line.startswith(" "):
            facts[name] += f"\n{line.strip()}"
        else:
            name = first
            facts[name] = rest.strip()
    return facts


def table(done: Done) -> list[list[str]]:
    """The cells of the rows that are shown, header first, and each line as wide as the others."""
    lines = [line for line in done.lines if line.startswith(("┃", "│"))]
    assert len({cell_len(line) for line in lines}) == 1
    return [[cell.strip() for cell in line[1:-1].split(line[0])] for line in lines]


def kilobytes(number: float) -> str:
    return f"{number / 1000:.1f} kB"


def stored_bytes(shop: Project, days: list[date]) -> int:
    """What lies in the partitions of some dates."""
    total = 0
    for day in days:
        prefix = f"sales/dt={day}/"
        found = shop.services.s3.list_objects_v2(Bucket=f"athena-lake-{ENVIRONMENT}", Prefix=prefix)
        total += sum(item["Size"] for item in found.get("Contents", []))
    return total


def test_what_a_run_would_read_and_cost_is_shown_and_nothing_is_paid(shop: Project) -> None:
    done = shop.run("preview", "items", WEEK, **WIDE)
    assert (done.code, done.err) == (0, "")
    assert done.changed_nothing
    assert done.lines[0] == "items_weekly"
    seen = facts(done)
    tokyo, monday = ZoneInfo("Asia/Tokyo"), datetime.fromisoformat(WEEK)
    start, end = monday.replace(tzinfo=tokyo), (monday + timedelta(7)).replace(tzinfo=tokyo)
    assert seen["period"] == f"{WEEK}, weekly"
    assert seen["local"] == f"{start.isoformat()} to {end.isoformat()} (Asia/Tokyo)"
    utc = [instant.astimezone(UTC).isoformat() for instant in (start, end)]
    assert seen["UTC"] == " to ".join(utc)
    # The dates of UTC that the week of Tokyo touches, and the 36 hours for late events.
    days = [date(2025, 6, 8) + timedelta(number) for number in range(10)]
    assert seen[f"database_{ENVIRONMENT}.sales"] == (
        f"10 of 10 partitions, {kilobytes(stored_bytes(shop, days))} in all columns:"
        " dt=2025-06-08 to dt=2025-06-17"
    )
    amount, basis = seen["will scan"].split("\n")
    assert re.fullmatch(r"about \d\.\d kB, 0\.00005 USD", amount)
    assert basis == f"(median of {', '.join(WEEKS)})"
    assert "FROM sales" in done.lines
    assert any("TIMESTAMP '2025-06-08 15:00:00.000'" in line for line in done.lines)
    assert done.lines[-1] == "The query was not run. To run it and see its first rows, add --run."


def test_a_paid_preview_shows_what_came_out_and_leaves_only_the_result_of_athena(
    shop: Project,
) -> None:
    done = shop.run("preview", "items", WEEK, "--run", **WIDE)
    assert (done.code, done.err) == (0, "")
    (query,) = done.queries
    assert (query.command, query.workgroup) == ("preview", ENVIRONMENT)
    assert (query.database, query.state) == (f"database_{ENVIRONMENT}", "SUCCEEDED")
    assert query.output.startswith(f"s3://athena-query-result-{ENVIRONMENT}/")
    assert query.sql in done.out
    assert done.objects == {query.output, f"{query.output}.metadata"}

    names, types, *rows = table(done)
    assert (names, types) == (["item", "amount"], ["varchar", "bigint"])
    assert rows == [[item, str(amount)] for item, amount in sold(date(2025, 6, 9), 7)]
    amount, _ = facts(done)["will scan"].split("\n")
    assert amount == f"about {kilobytes(query.scanned_bytes)}, 0.00005 USD"
    caption = done.lines.index(next(line for line in done.lines if "3 of 3 rows" in line))
    assert done.lines[caption + 1 :] == [
        "passed columns: The columns match the declaration.",
        "passed rows(at_least=1): 3 rows; expected at_least=1.",
        "passed unique(item): 0 of 3 rows repeat the item of an earlier row.",
        f"Scanned {kilobytes(query.scanned_bytes)}, 0.00005 USD. Nothing was published.",
    ]


def test_as_json_it_is_one_document_with_and_without_its_query(shop: Project) -> None:
    in_colours = shop.run("preview", "items", WEEK, "--json", FORCE_COLOR="1")
    unpaid = shop.run("preview", "items", WEEK, "--json")
    assert in_colours.out == unpaid.out
    assert "Looking for partitions" in in_colours.err  # as in a terminal
    assert (unpaid.code, unpaid.err, unpaid.changed_nothing) == (0, "", True)
    assert unpaid.json["trial"] is None
    assert unpaid.json["refused"] == ""
    paid = shop.run("preview", "items", WEEK, "--json", "--run")
    assert (paid.code, paid.err) == (0, "")
    trial = paid.json["trial"]
    assert trial["first_rows"] == [[item, str(n)] for item, n in sold(date(2025, 6, 9), 7)]
    # As the run of the period had it.
    bucket, key = f"athena-report-{ENVIRONMENT}", f"items/weekly/{WEEK}/manifest.json"
    manifest = read_json(shop.services.s3, f"s3://{bucket}/{key}")
    assert unpaid.json["period"] == manifest["period"]
    assert trial["rows"] == manifest["rows"]
    assert trial["scanned_bytes"] == manifest["query"]["scanned_bytes"]
    assert list(trial["columns"]) == [column["name"] for column in manifest["columns"]]
    assert {**paid.json, "trial": None} == unpaid.json
    # Without a period, the command takes the last one that has data, whatever the clock shows.
    assert shop.run("preview", "items", "--json").json["period"]["id"] == UNPUBLISHED_WEEK


def test_what_names_no_period_of_a_report_is_one_message(shop: Project) -> None:
    done = shop.run("preview", "items", "[red]", "--run", **WIDE)
    assert (done.code, done.out) == (1, "")
    assert "'[red]' is not the id of a week" in done.err
    assert done.err.count("\n") == 1
    assert done.changed_nothing


def unwrapped(done: Done) -> str:
    """What was printed, without the breaks of lines that are longer than the terminal."""
    return " ".join(done.out.split())


def test_a_period_whose_run_would_fail_for_want_of_a_partition_is_refused_and_not_paid(
    shop: Project,
) -> None:
    day = ABSENT_DAY.isoformat()
    problem = (
        f"stores_daily, period {day}, environment {ENVIRONMENT}:"
        f" database_{ENVIRONMENT}.sales: 1 of 1 required partitions missing in Glue: dt={day}."
        ' Wait for them, or register them, or declare missing="partial".'
    )
    looked = shop.run("preview", "stores", day, **WIDE)
    assert (looked.code, looked.err) == (0, "")
    assert "The query was not run, because a run of this period would be rejected." in looked.lines
    assert unwrapped(looked).endswith(problem)

    paid = shop.run("preview", "stores", day, "--run", **WIDE)
    assert paid.code == 1
    assert unwrapped(paid).endswith(f"a run of this period would be rejected. {problem}")
    assert paid.err == ""
    assert not paid.queries
    assert paid.changed_nothing

    # One that would be published as partial can be looked at.
    shop.edit("dags/shop.py", 'Input("sales", "dt")', 'Input("sales", "dt", missing="partial")')
    partial = shop.run("preview", "items", WEEKS[-1], "--run", **WIDE)
    assert (partial.code, partial.err) == (0, "")


def test_a_period_that_is_not_over_is_refused_and_not_paid(shop: Project) -> None:
    with time_machine.travel("2025-06-11 12:00:00+00:00"):
        done = shop.run("preview", "stores", "2025-06-11", "--run", **WIDE)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("The period 2025-06-11 (Daily, UTC) ends at 2025-06-12T00:00:00")
    assert done.changed_nothing


def test_many_rows_are_shown_in_part_and_a_failing_check_is_the_exit_code(shop: Project) -> None:
    (shop.root / SQL).write_text(
        """SELECT item, IF(amount = 80, NULL, amount) AS amount FROM sales
WHERE {{ inputs.sales.partitions }} AND {{ period.contains("sold_at") }}
ORDER BY sold_at
"""
    )
    done = shop.run("preview", "items", WEEK, "--run", **WIDE)
    assert (done.code, done.err) == (1, "")
    _, _, *rows = table(done)
    assert len(rows) == 10
    # The first sales of the week are those of the 9th; nothing is sold on the 8th in Tokyo's week.
    assert [row[0] for row in rows[:3]] == list(ITEMS)
    assert rows[0][1] == "90"
    assert any("10 of 21 rows" in line for line in done.lines)
    assert "fail   unique(item): 18 of 21 rows repeat the item of an earlier row." in done.lines
    (failed,) = [
        line for line in done.lines if line.startswith("The period would not be published. ")
    ]
    assert failed.startswith(
        "The period would not be published. Check unique(item) failed: 18 of 21 rows repeat"
    )
    assert "Nothing was published." in done.lines[-1]
    assert len(done.queries) == 1


def test_a_check_of_the_change_compares_with_what_is_published_and_a_case_does_not(
    shop: Project,
) -> None:
    shop.edit(DAGS, "checks.rows(at_least=1)", 'checks.change("rows", within=0.5)')
    done = shop.run("preview", "items", WEEK, "--run", **WIDE)
    assert (done.code, done.err) == (0, "")
    more = "UNION ALL SELECT 'x', 1 UNION ALL SELECT 'y', 1"
    shop.edit(SQL, "ORDER BY item", f"{more} ORDER BY item")
    done = shop.run("preview", "items", WEEK, "--run", **WIDE)
    assert done.code == 1
    assert "The period would not be published. Check change(rows" in done.out  # 5 rows after 3
    shop.write("tests/reports/items/bounds/expected.csv", "")
    assert shop.run("test", "items/bounds", "--accept").code == 0
    assert shop.run("test", "items/bounds").lines[-1] == "1 passed"  # beside no earlier period


def test_a_transform_that_fails_is_one_message_before_any_query(shop: Project) -> None:
    shop.edit(DAGS, "doc=__doc__,", "transform=lambda rows, period: 1 / 0, doc=__doc__,")
    done = shop.run("preview", "stores", "2025-06-04", "--run")
    assert (done.code, done.out, len(done.queries)) == (1, "", 0)
    assert "stores_daily, period 2025-06-04" in done.err
    assert "division by zero" in done.err
    assert "Traceback" not in done.err


def test_what_is_throttled_is_tried_again_and_paid_once(shop: Project, faults: Faults) -> None:
    faults.add(Throttle(action="StartQueryExecution", workgroup=ENVIRONMENT))
    faults.add(ThrottleGlue(action="GetPartitions"))
    done = shop.run("preview", "items", WEEK, "--run")
    assert (done.code, done.err, len(done.queries)) == (0, "", 1)


@pytest.mark.parametrize(
    ("variables", "arguments", "problem"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            [],
            "Unable to locate credentials",
        ),
        ({"AWS_DEFAULT_REGION": ""}, [], "You must specify a region."),
        ({"ATHENA_REPORTS_DATABASE": "absent"}, [], "tables.yaml has no table sales"),
        ({"ATHENA_REPORTS_WORKGROUP": "absent"}, ["--run"], "WorkGroup absent is not found"),
        ({"ATHENA_REPORTS_BUKET": "b"}, [], "Did you mean ATHENA_REPORTS_BUCKET?"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_the_account_or_the_shell_lacks_is_one_message(
    variables: dict[str, str], arguments: list[str], problem: str, shop: Project
) -> None:
    done = shop.run("preview", "items", WEEK, *arguments, **variables)
    assert (done.code, done.out) == (1, "")
    assert problem in done.err
    assert "Traceback" not in done.err
    assert not [query for query in done.queries if query.state == "SUCCEEDED"]
