"""A project of an author, and the commands of `athena-reports` that are typed in it.

The project is that of a small company, in an environment of its own beside the other tests: two
reports in one file, a third one elsewhere, and what was published of them.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from athena_reports.settings import settings
from athena_reports_cli.authoring.command_line import main
from athena_reports_cli.local.services import Services
from demo.lake import load
from local_athena.faults import Faults
from tests.support.paths import ROOT
from tests.support.query_comments import comment_of, query_of
from tests.support.repository_copy import SHELL
from tests.support.variables import kept_environment

ENVIRONMENT = "shop"
WORKGROUPS = (ENVIRONMENT, "primary")  # that of the project, and Athena's default
RESULTS = f"athena-query-result-{ENVIRONMENT}"
CTRL_C = "\x03"
FIRST_DAY, LAST_DAY = date(2025, 6, 1), date(2025, 6, 29)
ABSENT_DAY = date(2025, 6, 18)
ITEMS = ("茶", "りんご", "tea, green")
WEEKS = ("2025-06-02", "2025-06-09", "2025-06-16")  # published; the last one without a day
UNPUBLISHED_WEEK = "2025-06-23"
DAYS = ("2025-06-03", "2025-06-04")  # published of `stores`, which has no table
SOLD_WEEK = "2025-06-09"  # what `load_sales` has
# A shell that names neither an endpoint nor an environment, nor credentials.
NO_AWS = {
    "AWS_ENDPOINT_URL": "",
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_DEFAULT_REGION": "",
    "ATHENA_REPORTS_ENV": "",
    "AIRFLOW_HOME": "",
}
FILES = {
    "pyproject.toml": "[tool.athena-reports]\n",
    "dags/shop.py": '''"""# Shops

What is sold, <b>each</b> week.
"""
# For Airflow.
from datetime import timedelta

from athena_reports import Column, Input, Report, build_dag, checks, daily, monthly, weekly

items = Report(
    name="items",
    sql="items.sql",
    owner="ops",
    since="2025-06-02",
    until="2025-06-29",
    late_by=timedelta(hours=36),
    inputs=[Input("sales", "dt", missing="partial")],
    columns={
        "item": Column("string", "商品 | name"),
        "amount": Column("bigint", "sold", unit="yen"),
    },
    checks=[checks.rows(at_least=1), checks.unique("item")],
)
items_weekly = build_dag(items, weekly("monday", "Asia/Tokyo"))
items_monthly = build_dag(items, monthly("Asia/Tokyo"))

stores = Report(
    name="stores",
    sql="stores.sql",
    owner="ops",
    since="2025-06-02",
    inputs=[Input("sales", "dt")],
    outputs=["csv"],
    checks=[checks.not_null("amount", severity="warn")],
    doc=__doc__,
)
stores_daily = build_dag(stores, daily("UTC"))
''',
    "dags/audit.py": """
# For Airflow.
from athena_reports import Input, Report, build_dag, weekly

audit = Report(
    name="audit",
    sql="audit.sql",
    owner="finance",
    since="2025-06-02",
    until="2025-06-15",
    inputs=[Input("sales", "dt")],
)
audit_weekly = build_dag(audit, weekly("monday", "Asia/Tokyo"))
""",
    "include/sql/items.sql": """-- What was sold of each item.
SELECT item, SUM(amount) AS amount
FROM sales
WHERE {{ inputs.sales.partitions }} AND {{ period.contains("sold_at") }}
GROUP BY item
ORDER BY item
""",
    "include/sql/stores.sql": """-- What each store sold.
SELECT store, SUM(amount) AS amount
FROM sales
WHERE {{ inputs.sales.partitions }} AND {{ period.contains("sold_at") }}
GROUP BY store
ORDER BY store
""",
    "include/sql/audit.sql": """-- All that is known of all sales.
SELECT item, MIN(note) AS note, SUM(amount) AS amount
FROM sales
WHERE {{ inputs.sales.partitions }} AND {{ period.contains("sold_at") }}
GROUP BY item
ORDER BY item
""",
    "tests/reports/items/bounds/case.yaml": "period: 2025-06-02\n",
    "tests/reports/items/bounds/sales.csv": """item string,amount bigint,sold_at timestamp,dt string
茶,1,2025-06-01 15:00:00,2025-06-01
茶,2,2025-06-08 14:59:59.999,2025-06-08
b,,2025-06-04 00:00:00,2025-06-04
茶,4,2025-06-01 14:59:59.999,2025-06-01
茶,8,2025-06-08 15:00:00,2025-06-08
""",
    "tests/reports/items/bounds/expected.csv": '"item",amount\n"b",\n"茶",3\n',
    "tests/reports/items/month/case.yaml": "period: 2025-06\n",
    "tests/reports/items/month/sales.csv": """item string,amount BIGINT,sold_at timestamp,dt string
"",1,2025-06-30 14:59:59,2025-06-30
x,2,2025-06-30 15:00:00,2025-06-30
""",
    "tests/reports/items/month/expected.csv": '"item",amount\n"",1\n',
}


class Sale(NamedTuple):
    """A row of the table `sales`."""

    item: str
    store: str
    note: str
    amount: int
    sold_at: datetime  # UTC, without a zone


SCHEMA = pa.schema(
    [
        ("item", pa.string()),
        ("store", pa.string()),
        ("note", pa.string()),
        ("amount", pa.int64()),
        ("sold_at", pa.timestamp("ms")),
    ]
)


def sales_of(day: date) -> list[Sale]:
    """The rows of a partition."""
    rows = []
    for number, item in enumerate(ITEMS):
        sold_at = datetime.combine(day, datetime.min.time()) + timedelta(hours=12 + number)
        note = "".join(f"{day.day * number * digit % 997:03}" for digit in range(1, 1000))
        rows.append(Sale(item, f"store {number}", note, day.day * 10 + number, sold_at))
    return rows


def sold(first: date, days: int) -> list[tuple[str, int]]:
    """What was sold of each item from a date of Tokyo on, counted without the package.

    All sales are between noon and 2 pm of UTC, which is the same date in Tokyo.
    """
    amounts: dict[str, int] = {}
    for number in range(days):
        day = first + timedelta(number)
        if day == ABSENT_DAY or not FIRST_DAY <= day <= LAST_DAY:
            continue
        for sale in sales_of(day):
            amounts[sale.item] = amounts.get(sale.item, 0) + sale.amount
    return sorted(amounts.items())


def write_lake(services: Services) -> None:
    """Write the table `sales` of the environment."""
    partitions = []
    for number in range((LAST_DAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + timedelta(number)
        if day != ABSENT_DAY:
            rows = [sale._asdict() for sale in sales_of(day)]
            partitions.append((day, pa.Table.from_pylist(rows, SCHEMA)))
    load(services, ENVIRONMENT, "sales", SCHEMA, partitions)


def write_files(root: Path) -> None:
    """Write the project into an empty folder."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Query:
    """A query that Athena got."""

    command: str  # as its comment names it; empty without the comment of an author
    sql: str  # without the comment
    workgroup: str
    database: str
    output: str
    state: str
    scanned_bytes: int


@dataclass(frozen=True)
class Done:
    """What became of a command.

    Attributes:
        queries: The queries that Athena got meanwhile.
        objects: The objects of the buckets of results and reports that were written, changed or
            removed meanwhile, by their addresses.
    """

    code: int
    out: str
    err: str
    queries: tuple[Query, ...] = ()
    objects: frozenset[str] = frozenset()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def changed_nothing(self) -> bool:
        """Whether no query was paid and no object written."""
        return not self.queries and not self.objects


@dataclass
class Account:
    """The services, and what was there after the last command."""

    services: Services
    queries: set[str] = field(default_factory=set, repr=False)
    objects: dict[str, str] = field(default_factory=dict, repr=False)

    def new_queries(self) -> list[Query]:
        """The queries that were not there before."""
        athena = self.services.athena
        new: list[str] = []
        for group in WORKGROUPS:
            pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=group)
            for page in pages:
                ids = page["QueryExecutionIds"]
                new += [id for id in ids if id not in self.queries]
                if ids and ids[-1] in self.queries:
                    break  # the local Athena lists the newest first
        self.queries.update(new)
        queries = []
        for start in range(0, len(new), 50):
            some: Any = athena.batch_get_query_execution(QueryExecutionIds=new[start : start + 50])
            queries += [_query(execution) for execution in some["QueryExecutions"]]
        return queries

    def is_holding(self) -> bool:
        """Whether a query does not end because of a fault."""
        faults = Faults(self.services.endpoint_url).list()
        return any(fault["kind"] == "Hold" and fault["struck"] for fault in faults)

    def changed_objects(self) -> frozenset[str]:
        """The objects of results and reports that are not as before. Results are removed then."""
        stored = self._stored(f"athena-report-{ENVIRONMENT}")
        results = self._stored(RESULTS)
        changed = {item[0] for item in stored.items() ^ self.objects.items()}
        self.objects = stored
        if results:
            keys: Any = [{"Key": uri.removeprefix(f"s3://{RESULTS}/")} for uri in results]
            self.services.s3.delete_objects(Bucket=RESULTS, Delete={"Objects": keys[:1000]})
        return frozenset(changed | results.keys())

    def _stored(self, bucket: str) -> dict[str, str]:
        stored = {}
        for page in self.services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                stored[f"s3://{bucket}/{item['Key']}"] = item["ETag"]
        return stored


@dataclass
class Project:
    """The project, where an author edits it and types commands."""

    root: Path
    account: Account
    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def services(self) -> Services:
        """The services that its commands talk to."""
        return self.account.services

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the author's shell, beside those that every shell has."""
        return {
            **self.services.environment,
            "ATHENA_REPORTS_ENV": ENVIRONMENT,
            "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
            "AIRFLOW__CORE__DAGS_FOLDER": "",
            "AIRFLOW__CORE__PLUGINS_FOLDER": "",
            "PYTHONPATH": f"{ROOT}/plugins:{ROOT}/cli:{ROOT}/local_athena/src",
        }

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a part of a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def files(self) -> dict[str, bytes]:
        """Every file of the project, by its path."""
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        paths = [path for path in paths if path.suffix != ".pyc"]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}

    def run(self, *arguments: str, answers: str = "", folder: str = "", **variables: str) -> Done:
        """Run a command in this process.

        Args:
            arguments: What stands after `athena-reports`.
            answers: What its standard input has; the line CTRL_C interrupts it, as in a terminal.
            folder: The folder of the project that it is typed in.
            variables: Variables that differ from the project's; an empty one is removed.
        """
        with self.patch.context() as patch, kept_environment():
            for name, value in (self.variables | variables).items():
                patch.setenv(name, value)
                if not value:
                    patch.delenv(name)
            patch.chdir(self.root / folder)
            patch.setattr(sys, "argv", ["athena_reports", *arguments])
            patch.setattr(sys, "stdin", _Typed(answers))
            settings.cache_clear()
            self.capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
            printed = self.capsys.readouterr()
        settings.cache_clear()
        code = ended.value.code
        assert isinstance(code, int)
        return self._done(code, printed.out, printed.err)

    @contextmanager
    def start(
        self, *arguments: str, shell: str = '"$@"', session: bool = False, **variables: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command as a process of its own, by a line of `sh`, and kill it at the end.

        In a session of its own, the first terminal that the line opens is that of the command.
        """
        command = [sys.executable, "-m", "athena_reports_cli", *arguments]
        with subprocess.Popen(
            ["sh", "-c", f"exec {shell}", "sh", *command],
            cwd=self.root,
            env=SHELL | self.variables | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=session,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def shell(
        self, *arguments: str, shell: str = '"$@"', answers: str = "", **variables: str
    ) -> Done:
        """Run a command as a process of its own, to its end."""
        with self.start(*arguments, shell=shell, **variables) as process:
            printed, errors = process.communicate(answers)
        return self._done(process.returncode, printed, errors)

    def ended(self, process: subprocess.Popen[str]) -> Done:
        """Wait for the end of a command that was started."""
        printed, errors = process.communicate()
        return self._done(process.returncode, printed, errors)

    def _done(self, code: int, printed: str, errors: str) -> Done:
        """What became of a command, by what is there now and was not there before it."""
        queries = tuple(self.account.new_queries())
        return Done(code, printed, errors, queries, self.account.changed_objects())


def load_sales(shop: Project) -> int:
    """Load what was sold of one item from the day before SOLD_WEEK on; return its amount in it."""
    lines = ["item,amount,sold_at"]
    amount = 0
    for day in range(8, 16):
        sale = sales_of(date(2025, 6, day))[0]
        lines.append(f"{sale.item},{sale.amount},{sale.sold_at}")
        if day >= 9:
            amount += sale.amount
    shop.write("sales.csv", "\n".join([*lines, ""]))
    done = shop.run("load", "sales", "sales.csv", "--time", "sold_at", **NO_AWS)
    assert done.code == 0, done.err
    assert done.err.startswith("Using local services.")
    return amount


def _query(execution: Any) -> Query:
    comment = comment_of(execution["Query"])
    assert comment.get("environment", ENVIRONMENT) == ENVIRONMENT
    return Query(
        command=comment.get("command", ""),
        sql=query_of(execution["Query"]),
        workgroup=execution["WorkGroup"],
        database=execution["QueryExecutionContext"]["Database"],
        output=execution["ResultConfiguration"]["OutputLocation"],
        state=execution["Status"]["State"],
        scanned_bytes=execution["Statistics"]["DataScannedInBytes"],
    )


class _Typed(io.StringIO):
    """What is typed into a command; CTRL_C is an interrupt."""

    def readline(self, size: int | None = -1, /) -> str:
        line = super().readline()
        if line.startswith(CTRL_C):
            raise KeyboardInterrupt
        return line
