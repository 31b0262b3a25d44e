"""`new` in a shell: what it asks, what it writes, and when it writes nothing."""

from __future__ import annotations

import pytest

from athena_reports_cli.local.running import Running
from tests.services.commands.project import Project

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
ASKED = ["sales", "item", "sold_at", "2025-06-01"]
OPTIONS = ["--table", "--ranked", "--time", "--since"]
WRITTEN = [
    "dags/best.py",
    "include/sql/best.sql",
    "tests/reports/best/bounds/case.yaml",
    "tests/reports/best/bounds/sales.csv",
    "tests/reports/best/bounds/expected.csv",
    "tests/reports/best/golden/weekly_2025-06-02.sql",
    "tests/reports/best/golden/monthly_2025-06.sql",
]


def new_options(**changed: str) -> list[str]:
    values = dict(zip(OPTIONS, ASKED, strict=True)) | {
        f"--{name}": text for name, text in changed.items()
    }
    return [word for pair in values.items() for word in pair]


def test_what_is_not_given_is_asked_for_in_order(shop: Project) -> None:
    before = shop.files()
    done = shop.run("new", "best", answers="".join(f"{answer}\n" for answer in ASKED))
    assert (done.code, done.err) == (0, "")
    questions = (
        "Events table: Column to rank: Event time (a timestamp in UTC): First date with data: "
    )
    assert done.out == questions + "".join(f"{path}\n" for path in WRITTEN)
    new = {name: content.decode() for name, content in shop.files().items() if name not in before}
    assert set(new) == set(WRITTEN)
    assert new["tests/reports/best/bounds/sales.csv"].splitlines() == [
        "item string,sold_at timestamp,dt string",
        # The first week from 2025-06-01 on begins on Monday.
        "first,2025-06-02 00:00:00.000,2025-06-02",
        "last,2025-06-08 23:59:59.999,2025-06-08",
        "before,2025-06-01 23:59:59.999,2025-06-01",
        "after,2025-06-09 00:00:00.000,2025-06-09",
    ]
    dags = new["dags/best.py"]
    assert 'weekly("monday", "UTC")' in dags
    assert 'monthly("UTC")' in dags
    assert 'since="2025-06-01"' in dags
    assert "until=" not in dags
    sql = new["include/sql/best.sql"].split("\n", 1)[1]
    assert " ".join(sql.split()) == (
        "SELECT item, COUNT(*) AS events FROM sales WHERE {{ inputs.sales.partitions }}"
        ' AND {{ period.contains("sold_at") }} AND item IS NOT NULL GROUP BY item'
        " ORDER BY events DESC, item ASC LIMIT {{ params.top }}"
    )
    assert done.changed_nothing
    done = shop.run("test", "best")
    assert (done.code, done.lines[-1]) == (0, "1 passed")


def test_a_date_that_is_none_is_asked_for_again(shop: Project) -> None:
    answers = ["sales", "item", "sold_at", "June 1st", "2025-06-01"]
    done = shop.run("new", "best", answers="".join(f"{answer}\n" for answer in answers))
    assert done.code == 0
    assert done.out.count("First date with data: ") == 2
    assert 'Error: "June 1st" is not a date' in done.out
    done = shop.run("new", "other", *new_options(since="June 1st"), COLUMNS="200")
    assert done.code == 2
    assert "Invalid value for '--since'" in done.err


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Best", '"Best" is not a valid report name'),
        ("items", "include/sql/items.sql"),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused_before_the_questions(
    name: str, problem: str, shop: Project
) -> None:
    done = shop.run("new", name, COLUMNS="200")
    assert (done.code, done.out) == (1, "")
    assert problem in done.err


def test_what_cannot_be_written_whole_is_taken_back(shop: Project) -> None:
    shop.write("tests/reports/best", "A file where a folder would have to be.")
    before = shop.files()
    done = shop.run("new", "best", *new_options())
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("Nothing was written.\n")
    assert shop.files() == before


def test_an_up_that_reads_the_new_report_is_named(shop: Project) -> None:
    running = Running("http://127.0.0.1:8080", "admin", "secret", {})
    shop.patch.setattr("athena_reports_cli.local.running.find_running", lambda _: running)
    done = shop.run("new", "best", *new_options())
    assert done.code == 0
    assert done.err == (
        "The `up` at http://127.0.0.1:8080 loads the report within a minute. With --schedule, it"
        " then runs the last complete period.\n"
    )


@pytest.mark.parametrize(
    "changed",
    [
        # Reserved words, in a zone of days without midnight.
        {"table": "order", "ranked": "end", "time": "from", "timezone": "America/Santiago"},
        {"table": "events", "ranked": "events", "time": "at"},
    ],
    ids=["reserved words", "events"],
)
def test_a_report_of_odd_names_passes_its_case(changed: dict[str, str], shop: Project) -> None:
    assert shop.run("new", "match", *new_options(**changed)).code == 0
    done = shop.run("test", "match")
    assert (done.code, done.lines[-1]) == (0, "1 passed")
