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


def test_a_case_that_fails_after_one_that_passes_is_the_exit_code(shop: Project) -> None:
    shop.write("tests/reports/items/month/expected.csv", '"item",amount\n')
    done = shop.run("test")
    assert (done.code, done.lines[-1]) == (1, "1 passed, 1 failed")


# --- --accept


def test_where_nothing_came_out_accept_writes_nothing(shop: Project) -> None:
    shop.edit(SQL, "SUM(amount)", "NUMERIC_HISTOGRAM(3, amount)")
    before = shop.files()
    done = shop.run("test", "items/bounds", "--accept")
    assert (done.code, done.lines[-1]) == (1, "1 not run")
    assert shop.files() == before


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
