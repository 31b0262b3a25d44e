"""The SQL of every report as a reviewer would see it: rendered, in tests/sql/golden/.

A change of a template shows there as a change of SQL. After having looked at it:

    pytest tests/sql --renew-golden
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import trino_sql_validator
from airflow.dag_processing.dagbag import DagBag
from sqlfluff.core import FluffConfig, Linter

from athena_reports.periods.calendar import Cadence, Period

REPOSITORY = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"

# Periods that are worth a look; a DAG that is not named here is rendered for its first whole period.
# For user_ranking a usual week, the first one, the first month and a February of a leap year; for
# carrier_ranking the two weeks in which New York changes its clocks, a short month and the last one.
PERIODS = {
    "user_ranking_weekly": ["2025-03-02", "2025-01-05"],
    "user_ranking_monthly": ["2025-01", "2024-02"],
    "carrier_ranking_weekly": ["2013-03-04", "2013-10-28"],
    "carrier_ranking_monthly": ["2013-02", "2013-12"],
}


@dataclass(frozen=True)
class Run:
    """A scheduled run of a period."""

    period: Period

    @property
    def run_type(self) -> str:
        return "scheduled"

    @property
    def run_after(self) -> Any:
        return self.period.end_utc

    @property
    def data_interval_start(self) -> Any:
        return self.period.start_utc

    @property
    def data_interval_end(self) -> Any:
        return self.period.end_utc


@cache
def dags() -> dict[str, Any]:
    """The reports' DAGs by their ids."""
    bag: Any = DagBag(REPOSITORY / "dags", collect_dags=False)
    for file in sorted((REPOSITORY / "dags").glob("*.py")):
        bag.process_file(str(file))
    return {id: dag for id, dag in bag.dags.items() if "athena-report" in dag.tags}


def rendered(dag_id: str, period_id: str) -> str:
    """The query of a run as Athena gets it."""
    # A task renders its fields in place, so each run has a copy.
    task: Any = dags()[dag_id].get_task("run_query").prepare_for_execution()
    cadence: Cadence = task.cadence
    run = Run(cadence.period(period_id))
    task.render_template_fields({"dag_run": run, "params": {"period": ""}, "ti": None})
    return f"{task.query}\n"


def periods_of(dag_id: str) -> list[str]:
    """The periods for which a DAG's SQL is kept."""
    dag = dags()[dag_id]
    return PERIODS.get(dag_id) or [dag.get_task("run_query").cadence.first_from(dag.start_date).id]


CASES = [(dag_id, period_id) for dag_id in sorted(dags()) for period_id in periods_of(dag_id)]


@pytest.fixture(params=CASES, ids=lambda case: "_".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def golden_file(dag_id: str, period_id: str) -> Path:
    return GOLDEN / f"{dag_id}_{period_id}.sql"


def test_the_rendered_sql_is_the_golden_one(case: tuple[str, str], pytestconfig: pytest.Config) -> None:
    path = golden_file(*case)
    found = rendered(*case)
    if pytestconfig.getoption("--renew-golden"):
        path.write_text(found, encoding="utf-8")

    assert path.is_file(), f"there is no {path}; after a look at the SQL: pytest tests/sql --renew-golden"
    assert path.read_text(encoding="utf-8") == found


def test_every_report_has_its_golden_files_and_none_is_left_over() -> None:
    assert set(PERIODS) <= set(dags())
    assert {path.name for path in GOLDEN.iterdir()} == {golden_file(*case).name for case in CASES}


def test_trino_accepts_it_as_one_query(case: tuple[str, str]) -> None:
    """Function names and types count too, which the validator only warns of."""
    verdict = trino_sql_validator.validate(rendered(*case), jinja="reject")

    assert (verdict.valid, verdict.statement_count, list(verdict.warnings)) == (True, 1, [])


def test_it_names_each_column_once_and_orders_the_rows(case: tuple[str, str]) -> None:
    """Without an order the same rows could be another version at each run."""
    query = sqlglot.parse_one(rendered(*case), read="trino")

    assert isinstance(query, sqlglot.exp.Select)
    names = query.named_selects
    assert len(set(names)) == len(names)
    assert "" not in names
    assert query.args.get("order") is not None


@cache
def linter() -> Linter:
    return Linter(config=FluffConfig.from_path(str(REPOSITORY)))


def test_it_reads_like_the_style_says(case: tuple[str, str]) -> None:
    found = linter().lint_string(rendered(*case))

    assert [f"line {error.line_no}: {error.rule_code()} {error.desc()}" for error in found.get_violations()] == []


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        (test_trino_accepts_it_as_one_query, "SELECT FROM"),
        (test_it_reads_like_the_style_says, "select A from b\n"),
    ],
)
def test_the_checks_see_something(
    monkeypatch: pytest.MonkeyPatch, check: Callable[[tuple[str, str]], None], sql: str
) -> None:
    monkeypatch.setitem(globals(), "rendered", lambda *_: sql)

    with pytest.raises(AssertionError):
        check(CASES[0])
