"""`test` in a shell: cases that pass, fail and are not run, and what is told, kept and left."""

from __future__ import annotations

import re

import pytest

from local_athena.faults import Faults, Refuse
from tests.services.commands.project import ENVIRONMENT, Done, Project

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
DAGS = "dags/shop.py"
SQL = "include/sql/items.sql"
CASE = "tests/reports/items/bounds"
EXPECTED = '"item",amount\n"b",\n"茶",3\n'


def without_seconds(done: Done) -> list[str]:
    return [re.sub(r"  \d+\.\d s$", "", line) for line in done.lines]


def left_behind(shop: Project) -> list[str]:
    databases = shop.services.glue.get_databases()["DatabaseList"]
    return [item["Name"] for item in databases if item["Name"].startswith("case_")]


def test_cases_run_in_a_database_of_their_own_and_leave_nothing(shop: Project) -> None:
    before = shop.files()
    done = shop.run("test")
    assert (done.code, done.err) == (0, "")
    assert without_seconds(done) == ["passed   items/bounds", "passed   items/month", "2 passed"]
    assert len(done.queries) == 2
    for query in done.queries:
        assert (query.command, query.workgroup, query.state) == ("test", ENVIRONMENT, "SUCCEEDED")
        assert query.database.startswith("case_")
    assert len({query.database for query in done.queries}) == 2
    results = {query.output for query in done.queries}
    assert done.objects == results | {f"{result}.metadata" for result in results}
    assert left_behind(shop) == []
    assert shop.files() == before


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        (["items/month"], ["month"]),
        (["items", "items/bounds"], ["bounds", "month"]),
    ],
)
def test_the_cases_that_are_named_run(names: list[str], cases: list[str], shop: Project) -> None:
    shop.write("tests/reports/stores/one/case.yaml", "period: 2025-06-03\n")
    done = shop.run("test", *names, "--json")
    assert (done.code, done.err) == (0, "")
    assert [(case["report"], case["case"]) for case in done.json] == [
        ("items", case) for case in cases
    ]
    for case in done.json:
        assert (case["outcome"], case["problem"]) == ("passed", "")
        assert 0 < case["seconds"] < 60
    assert len(done.queries) == len(cases)


def test_a_transform_runs_in_a_case_and_its_error_is_the_problem(shop: Project) -> None:
    shop.edit(DAGS, "checks, daily", "checks, transforms, daily")
    transform = "transforms.each_row(lambda row: row | {'amount': 10 // row['amount']})"
    shop.edit(DAGS, "    late_by", f"    transform={transform},\n    late_by")
    shop.edit(f"{CASE}/sales.csv", "b,,", "b,0,")
    done = shop.run("test", "--json")
    assert (done.code, done.err, len(done.queries)) == (1, "", 2)
    bounds, month = done.json
    assert bounds["outcome"] == "failed"
    assert "division" in bounds["problem"]
    assert month["outcome"] == "failed"
    assert "amount='10'" in month["problem"]


@pytest.mark.parametrize("last", ["passed", "failed"])
def test_each_outcome_counts_whichever_comes_last(last: str, shop: Project) -> None:
    broken, right = ("bounds", "month") if last == "passed" else ("month", "bounds")
    shop.write(f"tests/reports/items/{broken}/expected.csv", '"item",amount\n')
    done = shop.run("test")
    assert done.code == 1
    assert sorted(done.lines[-1].split(", ")) == ["1 failed", "1 passed"]
    assert any(line.startswith(f"passed   items/{right}") for line in done.lines)


def test_a_case_of_no_report_and_one_of_a_broken_file_fail(shop: Project) -> None:
    for name in ("case.yaml", "sales.csv", "expected.csv"):
        text = (shop.root / CASE / name).read_text()
        shop.write(f"tests/reports/gone/bounds/{name}", text)
    shop.write("dags/gone.py", "# build_dag\nimport nothing_of_this_name\n")
    done = shop.run("test")
    assert done.code == 1
    assert done.err.startswith("Cannot import dags/gone.py, line 2: ModuleNotFoundError")
    assert without_seconds(done)[0] == "failed   gone/bounds"
    file = f"{shop.root}/dags/gone.py"
    assert f'There is no report "gone". It may be in {file}, which cannot be' in done.lines[1]
    assert done.lines[-1] == "1 failed, 2 passed"


# --- --accept


def test_accept_writes_what_came_out_and_nothing_else(shop: Project) -> None:
    before = shop.files()
    shop.write(f"{CASE}/expected.csv", "nonsense")
    (shop.root / "tests/reports/items/month/expected.csv").unlink()
    done = shop.run("test", "--accept")
    assert (done.code, done.err) == (0, "")
    assert without_seconds(done) == [
        "accepted items/bounds",
        "accepted items/month",
        "2 accepted",
    ]
    assert shop.files() == before  # byte for byte what a person had written
    assert len(done.queries) == 2


@pytest.mark.parametrize(
    ("name", "old", "new", "outcome"),
    [
        (SQL, "SUM(amount)", "SUM(amout)", "failed"),
        (SQL, "SUM(amount)", "NUMERIC_HISTOGRAM(3, amount)", "not run"),
    ],
    ids=["query", "not run"],
)
def test_where_nothing_came_out_accept_writes_nothing(
    name: str, old: str, new: str, outcome: str, shop: Project
) -> None:
    shop.edit(name, old, new)
    before = shop.files()
    done = shop.run("test", "items/bounds", "--accept")
    assert (done.code, done.lines[-1]) == (1, f"1 {outcome}")
    assert shop.files() == before


def test_rows_that_a_check_forbids_are_written_and_fail(shop: Project) -> None:
    shop.edit(DAGS, "checks.rows(at_least=1)", "checks.rows(at_least=9)")
    shop.write(f"{CASE}/expected.csv", "nonsense")
    done = shop.run("test", "items/bounds", "--accept")
    assert (done.code, done.lines[-1]) == (1, "1 failed")
    file = f"{CASE}/expected.csv"
    assert f"{file} was written, but a run would not publish it: Check" in done.out
    assert shop.files()[file].decode() == EXPECTED
    done_again = shop.run("test", "items/bounds")
    assert done_again.code == 1
    for said in (done.out, done_again.out):
        assert "Check rows(at_least=9) failed" in said


# --- the services


def test_services_that_are_not_there_are_one_message(shop: Project) -> None:
    retries = {"AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = shop.run("test", **retries)
    assert (done.code, done.out) == (1, "")
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/' in done.err
    assert "Traceback" not in done.err


def test_a_query_that_athena_refuses_fails_its_case_alone(shop: Project, faults: Faults) -> None:
    faults.add(Refuse(code="AccessDeniedException", message="Not yours"))
    done = shop.run("test")
    assert (done.code, done.err) == (1, "")
    assert "Not yours" in done.lines[1]
    assert done.lines[-1] == "1 failed, 1 passed"
    assert left_behind(shop) == []
