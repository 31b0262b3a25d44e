"""A team copies the repository, deletes the sample reports and adds its own, one as README.md says
and one on tables that it loads: what it runs is green.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from athena_reports_cli.local.client import AirflowClient, DagRun, all_finished
from athena_reports_cli.local.services import Services
from tests.repository.pages import PAGES, README
from tests.support.code_blocks import blocks_of, commands_of, files_of
from tests.support.local_athena import run_sql
from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL, airflow_up, copy_repository, make
from tests.support.wheel_files import carry_small_wheel

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(README not in PAGES, reason="a team has written its own"),
]
MAINTENANCE = "athena_reports_maintenance.py"
LAYERS = "tests/repository/test_layers.py"


def without_samples(root: Path) -> Path:
    """Copy the tree without what belongs to the samples, as the README says how to delete them."""
    copy_repository(root)
    for file in [*root.glob("dags/*.py"), *root.glob("include/sql/*.sql")]:
        if file.name != MAINTENANCE:
            file.unlink()
    shutil.rmtree(root / "tests" / "reports")
    return root


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the report of the README's recipe in place of the samples."""
    root = without_samples(tmp_path_factory.mktemp("team") / "reports")
    for path, block in files_of(README):
        (root / path).write_text(block.text)
    carry_small_wheel(root)
    return root


def test_the_readmes_report_passes_what_the_readme_runs_and_is_shipped(repository: Path) -> None:
    blocks = [
        block
        for block in blocks_of(README)
        if "best_users" in block.text and block.language == "console"
    ]
    commands = [
        shlex.split(command, comments=True)
        for block in blocks
        if "athena-reports init" not in block.text  # of a project without a clone
        for command in commands_of(block)
        if "backfill" not in command  # it needs an Airflow: see below
    ]
    said = ""
    for command in [*commands, ["make", "bundle", "ENV=prd"]]:
        assert command[0] == "make"
        done = make(repository, *command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout

    assert "No finding in 2 DAG files, 2 DAGs of reports" in said
    assert "10 of 100 rows" in said
    golden = (repository / "tests" / "reports" / "best_users" / "golden").iterdir()
    assert sorted(file.name.partition("_")[0] for file in golden) == ["monthly", "weekly"]
    shipped = {file.name for file in (repository / "dist" / "mwaa" / "dags").rglob("best_users.*")}
    assert shipped == {"best_users.py", "best_users.sql"}


def test_the_rules_of_imports_hold_without_the_samples(repository: Path) -> None:
    """`make test` of a team has these tests too, and the samples' tests have helpers."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "share_only", LAYERS]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demo_says_that_its_reports_are_gone(repository: Path) -> None:
    done = make(repository, "demo")
    assert done.returncode == 2
    assert "dags/ has none of the demo's reports" in done.stdout


def test_airflow_leaves_it_alone_until_its_backfill_is_asked_for(repository: Path) -> None:
    (command,) = [
        shlex.split(command, comments=True)
        for block in blocks_of(README)
        for command in commands_of(block)
        if "make backfill" in command
    ]
    with airflow_up(repository) as (client, _):
        assert client.rows("/api/v2/importErrors", "import_errors") == []
        # It goes on, and so do the plays: the schedule runs the last complete period alone.
        for cadence in ("weekly", "monthly"):
            runs = client.wait_for_runs(f"best_users_{cadence}", timeout_seconds=600)
            assert {(run.run_type, run.state) for run in runs} == {("scheduled", "success")}
        done = make(repository, *command[1:], "YES=1")
        assert done.returncode == 0, done.stdout + done.stderr
        for cadence, number in (("weekly", 5), ("monthly", 1)):
            runs = backfilled(client, f"best_users_{cadence}", number)
            assert {run.state for run in runs} == {"success"}


def test_a_change_of_its_sql_is_shown_with_the_way_out_and_not_at_length(repository: Path) -> None:
    file = repository / "include" / "sql" / "best_users.sql"
    file.write_text(file.read_text().replace("SUM(score)", "MAX(score)"))

    done = make(repository, "check")

    assert done.returncode == 2
    assert "-    SUM(score) AS score\n    +    MAX(score) AS score\n" in done.stdout
    assert "run `make golden`" in done.stdout
    assert len(done.stdout.splitlines()) < 30


# --- tables and a report of one's own

SHOPS = ("Berlin", "Osaka", "Rome")
PRODUCTS = ("apples", "pears")
OPENING = datetime(2025, 2, 23, 9, 0, tzinfo=UTC)
# One sale each five hours, for five weeks. The number tells shop, product and amount.
SALES = [
    (f"s{n % 3}", PRODUCTS[n % 2], OPENING + timedelta(hours=5 * n), n % 7 + 1) for n in range(168)
]
TOKYO = ZoneInfo("Asia/Tokyo")
FIRST, LAST = "2025-02-24", "2025-03-24"  # the weeks of the data, from Monday
SHOP_SALES = '''"""
# Shop sales

What each shop sold of each product. Read by Airflow.

**Schedule.** Five minutes after each week and month of Asia/Tokyo.

**Input.** `sales`, partitioned by UTC date, and `shops`.

**Rerun.** Clear any run at any time.

**Permissions.** Athena; read the tables; write the query results and the report bucket.
"""

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

from athena_reports import Input, Report, build_dag, checks, monthly, weekly

team = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:reports",
    subject="{{ alert.subject }}",
    message="{{ alert.message }}",
)
shop_sales = Report(
    name="shop_sales",
    sql="shop_sales.sql",
    owner="sales",
    since="2025-02-24",
    until="2025-03-24",
    inputs=[Input("sales", "dt"), Input("shops", columns=())],
    key=["city", "product"],
    checks=[checks.not_null("amount")],
    doc=__doc__,
)
shop_sales_weekly = build_dag(shop_sales, weekly("monday", "Asia/Tokyo"), on_late=[team])
shop_sales_monthly = build_dag(shop_sales, monthly("Asia/Tokyo"), on_late=[team])
'''
SHOP_SALES_SQL = """-- One row per shop and product.
SELECT
    shops.city,
    sales.product,
    SUM(sales.amount) AS amount
FROM sales
INNER JOIN shops ON sales.shop = shops.shop
WHERE {{ inputs.sales.partitions }}
    AND {{ period.contains("sales.sold_at") }}
GROUP BY shops.city, sales.product
ORDER BY shops.city ASC, sales.product ASC
"""
CASE = {
    "case.yaml": "period: 2025-03-03\ncadence: weekly\n",
    "sales.csv": (
        "shop string,product string,sold_at timestamp,amount bigint,dt string\n"
        "s0,pears,2025-03-02 14:59:59.999,1,2025-03-02\n"
        "s0,pears,2025-03-02 15:00:00,2,2025-03-02\n"
        "s0,pears,2025-03-09 14:59:59.999,4,2025-03-09\n"
        "s0,pears,2025-03-09 15:00:00,8,2025-03-09\n"
    ),
    "shops.csv": "shop string,city string\ns0,Berlin\n",
    "expected.csv": '"city","product",amount\n"Berlin","pears",6\n',
}


def sold(week: str) -> dict[tuple[str, str], int]:
    """What each shop sold of each product in a week, by plain arithmetic."""
    start = datetime.fromisoformat(week).replace(tzinfo=TOKYO)
    amounts: Counter[tuple[str, str]] = Counter()
    for shop, product, sold_at, amount in SALES:
        if start <= sold_at < start + timedelta(days=7):
            amounts[SHOPS[int(shop[1:])], product] += amount
    return amounts


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with a report on two loaded tables in place of the samples."""
    root = without_samples(tmp_path_factory.mktemp("own") / "project")
    with (root / "sales.csv").open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["shop", "product", "sold_at", "amount"])
        for shop, product, sold_at, amount in SALES:
            writer.writerow([shop, product, sold_at.astimezone(TOKYO).isoformat(), amount])
    shops = [json.dumps({"shop": f"s{n}", "city": city}) for n, city in enumerate(SHOPS)]
    (root / "shops.jsonl").write_text("\n".join(shops))
    for words in (
        ["TABLE=sales", "FILE=sales.csv", "TIME=sold_at"],
        ["TABLE=shops", "FILE=shops.jsonl"],
    ):
        done = make(root, "load", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    (root / "sales.csv").unlink()
    (root / "dags" / "shop_sales.py").write_text(SHOP_SALES)
    (root / "include" / "sql" / "shop_sales.sql").write_text(SHOP_SALES_SQL)
    case = root / "tests" / "reports" / "shop_sales" / "bounds"
    case.mkdir(parents=True)
    for name, text in CASE.items():
        (case / name).write_text(text)
    done = make(root, "golden")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_a_report_on_loaded_tables_passes_what_its_author_runs(project: Path) -> None:
    assert "No finding in 2 DAG files" in make(project, "check").stdout
    cases = make(project, "cases")
    assert (cases.returncode, cases.stdout.splitlines()[-1]) == (0, "1 passed"), cases.stdout

    preview = ["preview", "REPORT=shop_sales_weekly", "PERIOD=2025-03-03", "RUN=1"]
    done = make(project, *preview)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"│ (\w+) +│ (\w+) +│ (\d+) +│", done.stdout)
    found = {(city, product): int(amount) for city, product, amount in rows}
    assert found == sold("2025-03-03"), done.stdout


def test_all_tests_are_green_without_the_samples(project: Path) -> None:
    run_tests(project, "-n", "2", "--dist", "loadfile", "-m", "not ci and not full")
    done = make(project, "test-services")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


def run_tests(project: Path, *words: str) -> None:
    """Run tests of the project, which is a clone: some of them clone it again."""
    for environment in ROOT.glob(".venv*"):
        link = project / environment.name
        if not link.exists():
            link.symlink_to(environment.resolve())
    if not (project / ".git").exists():
        git(project, "init", "--quiet")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message", "Ours")
    command = [sys.executable, "-m", "pytest", "-q", "--show-capture=no", *words]
    done = subprocess.run(command, cwd=project, env=SHELL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


def git(project: Path, *words: str) -> None:
    author = ["-c", "user.name=us", "-c", "user.email=us@example.com"]
    subprocess.run(["git", *author, *words], cwd=project, env=SHELL, check=True)


@pytest.mark.parametrize("start", ["first", "second"])
def test_each_make_up_finds_the_tables_and_publishes_what_is_asked_for(
    start: str, project: Path
) -> None:
    with airflow_up(project) as (client, variables):
        assert client.rows("/api/v2/importErrors", "import_errors") == []
        assert client.runs("shop_sales_weekly") == []  # its data have ended
        assert client.runs("shop_sales_monthly") == []

        asked = ["backfill", "REPORT=shop_sales_weekly", f"FROM={FIRST}", f"TO={LAST}", "YES=1"]
        done = make(project, *asked)
        assert done.returncode == 0, done.stdout + done.stderr
        runs = backfilled(client, "shop_sales_weekly", 5)
        assert {run.state for run in runs} == {"success"}
        assert_sold(variables)

        # A shell with these variables reaches this Airflow, and knows its timetable.
        airflow = [str(Path(sys.executable).with_name("airflow"))]
        command = [*airflow, "dags", "list-runs", "shop_sales_weekly", "--output", "json"]
        listed = subprocess.run(
            command, env=SHELL | dict(variables), cwd=project, capture_output=True, text=True
        )
        assert listed.returncode == 0, listed.stderr
        rows = listed.stdout[listed.stdout.index("[{") :]  # Airflow logs there too
        assert len(json.loads(rows)) == 5
        beyond = make(project, "backfill", "REPORT=shop_sales", f"FROM={FIRST}", "TO=2025-04-30")
        assert beyond.returncode == 2
        assert "has data up to 2025-03-24 (until)" in " ".join(beyond.stderr.split())


def backfilled(client: AirflowClient, dag_id: str, number: int) -> Sequence[DagRun]:
    """The runs of a backfill, when all have ended."""

    def are_done(runs: Sequence[DagRun]) -> bool:
        ours = [run for run in runs if run.run_type == "backfill"]
        return len(ours) == number and all_finished(ours)

    runs = client.wait_for_runs(dag_id, until=are_done, timeout_seconds=600)
    return [run for run in runs if run.run_type == "backfill"]


def assert_sold(variables: Mapping[str, str]) -> None:
    """What is published of each week is what plain arithmetic gives."""
    services = Services(variables["AWS_ENDPOINT_URL"])
    sql = "SELECT period, city, product, amount FROM report_dev.shop_sales_weekly"
    published: dict[str, dict[tuple[str, str], int]] = {}
    for row in run_sql(sql, services.athena, database="report_dev", workgroup="dev"):
        amounts = published.setdefault(row["period"], {})
        amounts[row["city"], row["product"]] = int(row["amount"])
    weeks = [f"{datetime.fromisoformat(FIRST) + timedelta(days=7 * n):%Y-%m-%d}" for n in range(5)]
    assert published == {week: dict(sold(week)) for week in weeks}
