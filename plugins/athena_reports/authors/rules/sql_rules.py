"""The rules for a report's SQL, as it is rendered.

A reviewer reads it in tests/reports/<report>/golden/. The files there say for which periods. A
cadence without one is rendered for its first whole period; for another one too, add an empty file
of its name, `weekly_2025-03-02.sql`, and run `make golden`, or `athena-reports check --renew`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlglot
import trino_sql_validator
from sqlglot import exp

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.rules.dag_rules import Repository, Rule
from athena_reports.authors.rules.sql_style import shape_of
from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import Period
from athena_reports.periods.sql_period import SqlPeriod
from athena_reports.reports.input import Input
from athena_reports.reports.sql_template import template_context

_DIFF_LINES = 24
_CLOCKS = (
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)


@dataclass(frozen=True)
class Rendered:
    """The query of a report for one period.

    Attributes:
        report: Name of the report.
        sql: As Athena gets it.
        file: The golden file, relative to the repository.
        unload: Whether Athena writes files of it, which have no order.
        promised: The columns that the report declares.
        unfiltered: The inputs whose partitions the template asks no filter for.
    """

    report: str
    sql: str
    file: Path
    unload: bool
    promised: frozenset[str]
    unfiltered: tuple[Input, ...]


@dataclass(frozen=True)
class _AskedPeriod(SqlPeriod):
    """A period that notes for which partition keys a template asks the filter."""

    asked: set[frozenset[str]] = field(default_factory=set)

    @property
    def previous(self) -> _AskedPeriod:
        return _AskedPeriod(self.period.previous, self.late_by, self.asked)

    def partitions(self, *columns: str, **how: Any) -> str:
        self.asked.add(
            frozenset(column.rpartition(".")[2].strip('"').lower() for column in columns)
        )
        return super().partitions(*columns, **how)


def _rendered(declared: DeclaredReport, period: Period) -> tuple[str, tuple[Input, ...]]:
    """Return the SQL of a period, and the inputs whose partitions it does not filter."""
    report = declared.report
    plain, asked = SqlPeriod(period, report.late_by), _AskedPeriod(period, report.late_by)
    context: Any = template_context(plain, report.params, report.inputs)
    sql = declared.sql(period, context | {"period": asked})
    unfiltered = (
        source
        for source in report.inputs
        if source.is_partitioned and not vars(context["inputs"])[source.table].asked
    )
    return sql, tuple(each for each in unfiltered if frozenset(each.columns) not in asked.asked)


def rendered(repository: Repository) -> Iterator[Rendered]:
    """Render each DAG's query for the periods of its golden files, or for its first whole one."""
    for dag in repository.reports.values():
        declared = DeclaredReport(dag)
        report, cadence, since = dag.report, dag.cadence, dag.start_date
        tests = repository.project.tests.relative_to(repository.root)
        folder = tests / report.name / "golden"
        files = sorted((repository.root / folder).glob(f"{cadence.name}_*.sql"))
        names = [file.stem for file in files]
        ids = [name.removeprefix(f"{cadence.name}_") for name in names]
        for id in ids or [cadence.first_from(since).id]:  # type: ignore[arg-type]  # a report has one
            with suppress(PeriodError):  # the file of no period is left over
                sql, unfiltered = _rendered(declared, cadence.period(id))
                promised = frozenset(report.columns)
                file = folder / f"{cadence.name}_{id}.sql"
                yield Rendered(report.name, f"{sql}\n", file, report.unload, promised, unfiltered)


def _left_over(repository: Repository) -> set[Path]:
    """Golden files of no DAG; none while a DAG file cannot be imported."""
    if len(repository.imported) < len(repository.bags):
        return set()
    files = repository.project.tests.glob("*/golden/*")
    there = {file.relative_to(repository.root) for file in files}
    return there - {each.file for each in rendered(repository)}


def renew(repository: Repository) -> list[Path]:
    """Write the golden files, remove those that are left over, and return what changed."""
    changed = sorted(_left_over(repository))
    for file in changed:
        (repository.root / file).unlink()
    for each in rendered(repository):
        path = repository.root / each.file
        if not path.is_file() or path.read_text(encoding="utf-8") != each.sql:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each.sql, encoding="utf-8")
            changed.append(each.file)
    return changed


def write_golden(repository: Repository, report: str) -> list[Path]:
    """Write the golden files of one report, which has none, and return them."""
    files = []
    for query in rendered(repository):
        if query.report == report:
            path = repository.root / query.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(query.sql, encoding="utf-8")
            files.append(path)
    return sorted(files)  # Airflow has the DAGs of a file in no fixed order


def sql_is_the_golden_one(repository: Repository) -> list[str]:
    """A reviewer sees what a change does to the SQL.

    Look at the difference; if it is meant, run `make golden`, or `athena-reports check --renew`.
    """
    left_over = sorted(_left_over(repository))
    findings = {file: f"{file}: no DAG has this SQL any more." for file in left_over}
    differences = set()
    for each in rendered(repository):
        path = repository.root / each.file
        if not path.is_file():
            findings[each.file] = f"{each.file}: it is not there yet."
        elif (golden := path.read_text(encoding="utf-8")) != each.sql:
            old, new = golden.splitlines(), each.sql.splitlines()
            lines = list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]
            changed = (each.report, *(line for line in lines if line[0] in "+-"))
            if changed in differences:
                lines = ["    differs in the same lines"]
            differences.add(changed)
            # A line that stays the same may list the partitions of a year.
            shown = [line[:100] if line[0] == " " else line for line in lines[:_DIFF_LINES]]
            if len(lines) > _DIFF_LINES:
                shown.append(f"... {len(lines) - _DIFF_LINES} more lines")
            findings[each.file] = "\n".join([f"{each.file}:", *shown])
    return list(findings.values())


Look = Callable[[Rendered], Iterable[tuple[int | None, str]]]


def _findings(repository: Repository, look: Look) -> list[str]:
    """What is found, with its line.

    SQL that differs from a report's other SQL in literals alone is passed over.
    """
    shapes: dict[tuple[str, str], Rendered] = {}
    for each in rendered(repository):
        shapes.setdefault((each.report, shape_of(each.sql)), each)
    findings = []
    for each in shapes.values():
        for line, text in look(each):
            place = f"{each.file}, line {line}" if line else f"{each.file}"
            findings.append(f"{place}: {text}")
    return findings


def sql_is_one_query_that_trino_accepts(repository: Repository) -> list[str]:
    """Athena would refuse it in the first run, or run half of it.

    Names of functions and types count too.
    """

    def look(each: Rendered) -> Iterator[tuple[int | None, str]]:
        verdict = trino_sql_validator.validate(each.sql, jinja="reject")
        if verdict.error:
            yield verdict.error.line, verdict.error.message
        elif verdict.statement_count != 1:
            yield None, f"there are {verdict.statement_count} statements."
        for found in verdict.warnings:
            if not isinstance(found, trino_sql_validator.AliasWarning):
                yield found.line, str(found)

    return _findings(repository, look)


def sql_orders_its_rows(repository: Repository) -> list[str]:
    """Without an outer ORDER BY equal rows come in another order.

    Then a rerun publishes another version.
    """

    def look(each: Rendered) -> Iterator[tuple[int | None, str]]:
        if not each.unload and not _is_ordered(each.sql):
            yield None, "the outer query has no ORDER BY."

    return _findings(repository, look)


def _is_ordered(sql: str) -> bool:
    try:
        query = sqlglot.parse_one(sql, read="athena")
    except sqlglot.ParseError:
        return True  # that is another rule's
    return query.args.get("order") is not None or _has_one_row(query)


def _has_one_row(query: exp.Expr) -> bool:
    if not isinstance(query, exp.Select) or query.args.get("group"):
        return False
    aggregates = (found for column in query.selects for found in column.find_all(exp.AggFunc))
    return any(found.find_ancestor(exp.Window, exp.Subquery) is None for found in aggregates)


def sql_asks_no_clock(repository: Repository) -> list[str]:
    """A rerun reports its own period, whenever it runs.

    With a clock it reports another one, or other rows.
    """

    def look(each: Rendered) -> Iterator[tuple[int | None, str]]:
        for found in _parsed(each.sql).find_all(*_CLOCKS):
            clock = f"{found.sql('athena')}, the time at which the query runs"
            way_out = (
                "Take dates from the period:"
                ' {{ period.contains("event_time") }}, {{ period.end_utc }}.'
            )
            yield None, f"it asks for {clock}. {way_out}"

    return _findings(repository, look)


def sql_filters_the_partitions_of_its_inputs(repository: Repository) -> list[str]:
    """Without the filter Athena reads, and bills, every partition of a table, for the same rows."""

    def look(each: Rendered) -> Iterator[tuple[int | None, str]]:
        for source in each.unfiltered:
            keys = ", ".join(f'"{key}"' for key in source.columns)
            by_input = f"{{{{ inputs.{source.table}.partitions }}}}"
            by_period = f"{{{{ period.partitions({keys}) }}}}"
            way_out = f"Write {by_input} or {by_period}."
            yield None, f"the template asks for no filter on {source.table}. {way_out}"

    return _findings(repository, look)


def column_names_are_snake_case(repository: Repository) -> list[str]:
    """Athena and Glue make names lower case, and every query has to quote one that is not plain."""

    def look(each: Rendered) -> Iterator[tuple[int | None, str]]:
        for name in _parsed(each.sql).named_selects:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*|\*|", name) and name not in each.promised:
                way_out = (
                    "Name it such as mean_score (AS),"
                    " or declare it in Report(columns=...) if it is meant."
                )
                yield None, f"the column {name!r} is not in snake_case. {way_out}"

    return _findings(repository, look)


def _parsed(sql: str) -> exp.Query:
    with suppress(sqlglot.ParseError):  # that is another rule's
        query = sqlglot.parse_one(sql, read="athena")
        if isinstance(query, exp.Query):
            return query
    return exp.Select()


def sql_reads_well(repository: Repository) -> list[str]:
    """What sqlfluff finds is rarely meant.

    athena_reports/authors/rules/sqlfluff.cfg has each rule's reason, and the way round.
    """

    def look(each: Rendered) -> Iterable[tuple[int | None, str]]:
        return repository.style(each.sql)

    return _findings(repository, look)


RULES: list[Rule] = [
    sql_is_the_golden_one,
    sql_is_one_query_that_trino_accepts,
    sql_orders_its_rows,
    sql_asks_no_clock,
    sql_filters_the_partitions_of_its_inputs,
    column_names_are_snake_case,
    sql_reads_well,
]
