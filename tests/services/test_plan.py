"""`plan`: what an edit changes in the published periods, beside a comparison in plain Python."""

from __future__ import annotations

import csv
import io
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.authoring import plan as planning
from athena_reports_cli.authoring.report_files import DeclaredReport, declared_reports, find_report
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.local_athena import run_sql
from tests.support.published import manifest_of, object_of
from tests.support.reports import SQL
from tests.support.task_runner import run_dag

SOURCE = SQL / "carriers.sql"
MONTHS = [f"2013-{month:02}" for month in range(1, 13)]
EDITS = {
    "a filter": ("GROUP BY", "AND distance > 300 GROUP BY"),
    "an order": ("COUNT(*) DESC", "SUM(distance) DESC"),
    "a renamed column": ("AS flights", "AS departures"),
    "no change": ("-- One row", "-- One single row"),
}
Rows = dict[str, dict[str, Any]]


def value(text: str | None) -> Any:
    try:
        return Decimal(text or "none")
    except InvalidOperation:
        return text or None


def queried(services: Services, declared: DeclaredReport, period: Any) -> Rows:
    """The rows of the edited SQL, as GetQueryResults has them."""
    sql = declared.sql(period)
    rows = run_sql(sql, services.athena, database="database_dev", workgroup="dev")
    return {row["carrier"]: {name: value(text) for name, text in row.items()} for row in rows}


def published(services: Services, dag: Any, period_id: str) -> Rows:
    manifest = manifest_of(services.s3, run_dag(dag, period=period_id))
    rows = csv.DictReader(io.StringIO(object_of(services.s3, manifest, "csv").decode()))
    return {row["carrier"]: {name: value(text) for name, text in row.items()} for row in rows}


@pytest.mark.parametrize(
    "months", [MONTHS[4:5], pytest.param(MONTHS, marks=pytest.mark.full)], ids=len
)
def test_a_plan_finds_what_a_plain_comparison_finds(
    services: Services,
    flights_lake: None,
    dags_folder: Path,
    sql_folder: Path,
    months: list[str],
) -> None:
    for name in ("carriers", "top_users"):
        (sql_folder / f"{name}.sql").write_text((SOURCE.with_name(f"{name}.sql")).read_text())
    dag = load_dags(dags_folder / "carriers.py")["carriers_monthly"]
    before = {month: published(services, dag, month) for month in months}
    for edit, (old, new) in EDITS.items():
        assert SOURCE.read_text().count(old) == 1
        (sql_folder / "carriers.sql").write_text(SOURCE.read_text().replace(old, new))
        declared, _ = find_report("carriers_monthly", "", declared_reports())
        aws = Aws.connect()
        periods = planning.published_before(declared, len(months), aws)
        assert [str(each) for each in periods] == months
        made = planning.make_plan(declared, periods, (), aws, lambda _: None)
        for planned, period in zip(made.periods, periods, strict=True):
            rows, base, found = (
                queried(services, declared, period),
                before[period.id],
                planned.differences,
            )
            shared = set(next(iter(rows.values()))) & set(next(iter(base.values())))
            columns = Counter(
                name
                for key in rows.keys() & base.keys()
                for name in shared
                if rows[key][name] != base[key][name]
            )
            changed = {
                key
                for key in rows.keys() & base.keys()
                if any(rows[key][name] != base[key][name] for name in shared)
            }
            counted = (len(rows.keys() - base.keys()), len(base.keys() - rows.keys()), len(changed))
            assert (found.added, found.removed, found.changed) == counted, (edit, period)
            assert found.columns == columns, (edit, period)
        assert bool(made.changed) == (edit != "no change")
        counts = f": {len(made.changed)} of {len(months)} period"
        assert counts in planning.markdown(made).splitlines()[0]
