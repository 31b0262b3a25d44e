"""`docs`, `status`, `costs` and `check-account` in a shell: what they say, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
import time_machine

from tests.services.commands.project import (
    ENVIRONMENT,
    NO_AWS,
    WEEKS,
    Done,
    Project,
)
from tests.support.rest_api import TOKEN, RestApi, rest_api

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
DAGS = "dags/shop.py"
SQL = "include/sql/items.sql"
BROKEN = "from athena_reports import build_dag\nthis is no Python\n"
LOOKS = ["docs", "status", "costs", "check-account"]


def grids(done: Done) -> list[list[list[str]]]:
    """The cells of each table, header first."""
    grids: list[list[list[str]]] = []
    for line in done.lines:
        if line.startswith("┃"):
            grids.append([])
        if line.startswith(("┃", "│")):
            grids[-1].append([cell.strip() for cell in line[1:-1].split(line[0])])
    return grids


def named(command: str) -> list[str]:
    return [] if command == "check-account" else ["items"]


# --- what they have in common


@pytest.mark.parametrize("command", ["docs", "status", "preview", "plan", "run"])
def test_of_an_unknown_report_nothing_is_looked_for(command: str, shop: Project) -> None:
    done = shop.run(command, "item")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith('There is no report "item". Did you mean items')
    assert done.changed_nothing


@pytest.mark.parametrize("command", LOOKS)
def test_a_broken_file_beside_good_ones_is_told_and_hides_nothing(
    command: str, shop: Project
) -> None:
    before = shop.run(command, *named(command))
    assert (before.code, before.err) == (0, "")
    shop.write("dags/broken.py", BROKEN)
    shop.write("dags/quits.py", "# build_dag\nraise SystemExit\n")
    done = shop.run(command, *named(command))
    assert done.out == before.out
    syntax_error, ended = done.err.splitlines()
    assert syntax_error.startswith("Cannot import dags/broken.py, line 2: SyntaxError: ")
    assert ended == "Cannot import dags/quits.py, line 2: SystemExit (`raise SystemExit`)"
    assert done.code == (0 if command == "docs" else 1)
    assert done.changed_nothing


@pytest.mark.parametrize("command", LOOKS)
def test_a_folder_without_reports(command: str, shop: Project) -> None:
    (shop.root / "empty").mkdir()
    arguments = [] if command == "costs" else named(command)
    done = shop.run("--dags", "empty", command, *arguments)
    if command in ("docs", "status"):
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith('There is no report "items".')
    else:
        assert (done.code, done.err) == (0, "")
        assert "sales" not in done.out
        assert "items" not in done.out
    assert done.changed_nothing


def test_the_folder_of_the_option_goes_before_that_of_the_shell(shop: Project) -> None:
    shop.write("other/x.py", (shop.root / "dags/audit.py").read_text())
    variables = {"AIRFLOW__CORE__DAGS_FOLDER": str(shop.root / "dags")}
    assert shop.run("docs", "items", **variables).code == 0
    done = shop.run("--dags", "other", "docs", "items", **variables)
    assert done.err.startswith('There is no report "items".')
    variables = {"AIRFLOW__CORE__DAGS_FOLDER": "other"}
    assert shop.run("docs", "audit", **variables).code == 0
    assert shop.run("docs", "items", **variables).code == 1
    done = shop.run("--dags", "dags/shop.py", "docs", "items")
    assert done.code == 2


@pytest.mark.parametrize("command", ["status", "costs", "check-account"])
def test_without_credentials_it_is_one_message_or_every_line_says_so(
    command: str, shop: Project
) -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = shop.run(command, *named(command), **none)
    assert done.code == 1
    assert "Unable to locate credentials" in done.out + done.err
    assert "Traceback" not in done.err
    if command == "check-account":
        assert len([line for line in done.lines if line.startswith("✗ ")]) == 5
        assert "✓" not in done.out


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def local_services(_: object) -> None:
        raise AssertionError("nothing is started")

    monkeypatch.setattr("athena_reports_cli.local.beside.local_services", local_services)


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "items"),
        ("costs",),
        ("plan", "items"),
        ("check-account",),
        ("backfill", "items", "--from", "2025-06-02", "--to", "2025-06-08"),
        ("run", "items"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_an_environment_there_is_nothing_to_look_at(
    arguments: tuple[str, ...], shop: Project
) -> None:
    done = shop.run(*arguments, **NO_AWS)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("No environment is selected: ")


# --- docs


def test_docs_describe_every_dag_of_a_report_without_aws(shop: Project) -> None:
    done = shop.run("docs", "items", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert (done.code, done.err, done.lines[0]) == (0, "", "# items")
    assert "items_monthly" in done.out
    assert "items_monthly" not in shop.run("docs", "items_weekly").out


@pytest.mark.usefixtures("nothing_starts")
def test_docs_without_an_environment_have_the_names_of_the_local_one(shop: Project) -> None:
    done = shop.run("docs", "items", **NO_AWS)
    assert done.code == 0, done.err
    assert "s3://athena-report-dev/items/weekly/" in done.out
    assert len(done.err.splitlines()) == 1


# --- list


def test_list_has_each_dag_with_its_last_published_period(shop: Project) -> None:
    done = shop.run("list", COLUMNS="200")
    assert (done.code, done.err, done.changed_nothing) == (0, "", True)
    ((header, *rows),) = grids(done)
    assert header == ["DAG", "schedule", "owner", "last published"]
    assert rows[1:3] == [
        ["items_monthly", "Monthly, Asia/Tokyo, +5 min", "ops", ""],
        ["items_weekly", "Weekly from Monday, Asia/Tokyo, +5 min", "ops", WEEKS[-1]],
    ]
    listed = shop.run("list", "--json").json["reports"]
    assert [report["dag_id"] for report in listed] == [row[0] for row in rows]
    assert (listed[2]["cadence"], listed[2]["last_published"]) == ("weekly", WEEKS[-1])


@pytest.mark.usefixtures("nothing_starts")
def test_list_needs_no_environment(shop: Project) -> None:
    done = shop.run("list", "--json", **NO_AWS)
    assert done.code == 0
    assert {report["last_published"] for report in done.json["reports"]} == {None}


# --- status


def test_status_counts_each_period_once_and_names_what_needs_something_done(shop: Project) -> None:
    done = shop.run("status", "items")
    assert (done.code, done.err, done.changed_nothing) == (0, "", True)
    weekly, monthly = done.lines
    assert weekly.startswith("items_weekly, logic v3:")
    assert weekly.endswith(": 4 periods, 1 missing, 1 partial, 2 published")
    # No month begins between its first and its last date.
    assert monthly.startswith("items_monthly, logic v3:")
    assert monthly.endswith(": no periods")
    assert shop.run("status", "items_monthly").lines == [monthly]

    shop.edit(SQL, "SUM(amount)", "SUM(amount) + 1")
    done = shop.run("status", "items")
    assert done.code == 0
    counts, outdated, _ = done.lines
    assert counts.endswith(": 4 periods, 1 missing, 3 outdated")
    assert outdated == f"outdated: {', '.join(WEEKS)}"


# --- costs


def test_costs_are_by_report_owner_and_month_dearest_first(shop: Project) -> None:
    done = shop.run("costs")
    assert (done.code, done.err, done.changed_nothing) == (0, "", True)
    reports, owners, months = grids(done)
    assert [[row[0], row[1], row[3]] for row in reports] == [
        ["report", "queries", "USD"],
        ["items_weekly", "3", "0.00015"],
        ["stores_daily", "2", "0.00010"],
        ["audit_weekly", "1", "0.00005"],
        ["items_monthly", "0", "0.00000"],
    ]
    assert [[row[0], row[1], row[3]] for row in owners] == [
        ["owner", "queries", "USD"],
        ["ops", "5", "0.00025"],
        ["finance", "1", "0.00005"],
    ]
    as_json = shop.run("costs", "--json").json
    assert list(as_json["reports"]) == [row[0] for row in reports[1:]]
    assert list(as_json["owners"]) == ["ops", "finance"]
    audit = as_json["reports"]["audit_weekly"]["scanned_bytes"]
    assert audit > as_json["reports"]["items_weekly"]["scanned_bytes"]
    assert reports[3][2] == f"{audit / 1000:.1f} kB"
    assert sum(month["queries"] for month in as_json["months"].values()) == 6
    assert sum(int(row[1]) for row in months[1:]) == 6
    with time_machine.travel(datetime.now(UTC) + timedelta(days=40)):
        assert shop.run("costs", "--months", "1", "--json").json["months"] == {}


# --- check-account


def test_what_is_there_has_a_check_mark_and_nothing_is_left_behind(shop: Project) -> None:
    done = shop.run("check-account")
    assert (done.code, done.err, done.changed_nothing) == (0, "", True)
    assert done.lines == [
        f"✓ workgroup {ENVIRONMENT}",
        f"✓ query results s3://athena-query-result-{ENVIRONMENT}/",
        f"✓ report bucket athena-report-{ENVIRONMENT}",
        f"✓ report database report_{ENVIRONMENT}",
        f"✓ table database_{ENVIRONMENT}.sales",
    ]
    uploads = shop.services.s3.list_multipart_uploads(Bucket=f"athena-report-{ENVIRONMENT}")
    assert not uploads.get("Uploads")
    as_json = shop.run("check-account", "--json")
    names = [check["name"] for check in as_json.json]
    assert [f"✓ {name}" for name in names] == done.lines


def test_what_is_missing_has_a_cross_and_a_reason(shop: Project) -> None:
    absent = {"ATHENA_REPORTS_REPORT_DATABASE": "absent"}
    done = shop.run("check-account", **absent)
    assert (done.code, done.err) == (1, "")
    place = done.lines.index("✗ report database absent")
    assert "Create the database" in done.lines[place + 1]
    assert len([line for line in done.lines if line.startswith("✓")]) == 4
    as_json = shop.run("check-account", "--json", **absent)
    assert (as_json.code, len(as_json.json)) == (1, 5)
    problems = [check["name"] for check in as_json.json if check["problem"]]
    assert problems == ["report database absent"]


def test_a_table_that_one_of_several_reports_reads_is_looked_for(shop: Project) -> None:
    shop.edit("dags/audit.py", 'Input("sales", "dt")', 'Input("sales", "dt"), Input("lost", "dt")')
    shop.edit(DAGS, 'Input("sales", "dt")]', 'Input("sales", "dt"), Input("gone", "dt")]')
    done = shop.run("check-account")
    assert done.code == 1
    tables = [line for line in done.lines if f" table database_{ENVIRONMENT}." in line]
    assert sorted(line.replace(f"table database_{ENVIRONMENT}.", "") for line in tables) == [
        "✓ sales",
        "✗ gone",
        "✗ lost",
    ]


@pytest.fixture
def airflow() -> Iterator[RestApi]:
    with rest_api({"GET /airflow/api/v2/pools/queries": HTTPStatus.OK}) as api:
        yield api


def test_the_pool_of_the_settings_is_looked_for(shop: Project, airflow: RestApi) -> None:
    options = ("check-account", "--airflow", f"{airflow.url}/airflow/")
    for pool, code, mark in (("queries", 0, "✓"), ("default_pool", 1, "✗")):
        done = shop.run(*options, ATHENA_REPORTS_POOL=pool, AIRFLOW_TOKEN=TOKEN)
        assert done.code == code
        assert f"{mark} pool {pool}" in done.lines
    without_token = shop.run(*options, ATHENA_REPORTS_POOL="queries")
    assert (without_token.code, without_token.out) == (1, "")
    assert without_token.err.startswith("AIRFLOW_TOKEN is not set.")
