"""The rules for a report's SQL, as it is rendered.

A reviewer reads it in tests/reports/<report>/golden/. The files there say for which periods. A
cadence without one is rendered for its first whole period; for another one too, add an empty file
of its name, `weekly_2025-03-02.sql`, and run `athena-reports check --renew`.
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

from athena_reports.errors import PeriodError, SqlTemplateError
from athena_reports.inputs.published import Source
from athena_reports.periods.calendar import Period
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import SqlInput, template_context
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule
from athena_reports_cli.authoring.rules.sql_style import shape_of

_DIFF_LINES = 24
# What the validator says of some thousand values in a list, which Athena takes.
_TOO_LONG = "maximum SQL statement complexity exceeded"
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
    unfiltered: tuple[Source, ...]


@dataclass(frozen=True)
class _AskedPeriod(SqlPeriod):
    """A period that notes for which partition keys a template asks the filter."""

    asked: set[frozenset[str]] = field(default_factory=set)

    @property
    def previous(self) -> _AskedPeriod:
        return _AskedPeriod(self.period.previous, self.late_by, self.asked)

    @property
    def last_year(self) -> _AskedPeriod:
        return _AskedPeriod(self.period.last_year, self.late_by, self.asked)

    def partitions(self, *columns: str, **how: Any) -> str:
        keys = set()
        for column in columns:
            _, _, name = column.rpartition(".")
            keys.add(name.strip('"').lower())
        self.asked.add(frozenset(keys))
        return super().partitions(*columns, **how)


@dataclass(frozen=True)
class _AskedInput(SqlInput):
    """An input that notes that a template asks for its filter."""

    asked: list[Source] = field(default_factory=list)

    def predicate(self, alias: str | None = None) -> str:
        self.asked.append(self.source)
        return super().predicate(alias)


def _rendered(declared: DeclaredReport, period: Period) -> tuple[str, tuple[Source, ...]]:
    """Return the SQL of a period, and the inputs whose partitions it does not filter."""
    report = declared.report
    asked_period = _AskedPeriod(period, report.late_by)
    context: Any = template_context(asked_period, report.params, report.inputs)
    asked_inputs: list[Source] = []
    for source in report.inputs:
        asked_input = _AskedInput(source, asked_period, asked=asked_inputs)
        setattr(context["inputs"], source.table, asked_input)
    sql = declared.sql(period, context)
    unfiltered = []
    for source in report.inputs:
        asks_input = source in asked_inputs
        asks_period = frozenset(source.columns) in asked_period.asked
        if source.is_partitioned and not asks_input and not asks_period:
            unfiltered.append(source)
    return sql, tuple(unfiltered)


def rendered(repository: Repository) -> Iterator[Rendered]:
    """Render each DAG's query for the periods of its golden files, or for its first whole one.

    Queries that cannot be rendered are left out.
    """
    for query in _queries(repository):
        if isinstance(query, Rendered):
            yield query


def sql_can_be_rendered(repository: Repository) -> list[str]:
    """Otherwise run_query fails, before it submits a query."""
    problems = [query for query in _queries(repository) if isinstance(query, str)]
    return list(dict.fromkeys(problems))  # the DAGs of a report share its SQL


def _queries(repository: Repository) -> Iterator[Rendered | str]:
    """Render each query, or say why it cannot be rendered."""
    for dag in repository.reports.values():
        declared = DeclaredReport(dag)
        report = dag.report
        cadence = dag.cadence
        tests = repository.project.tests.relative_to(repository.root)
        folder = tests / report.name / "golden"
        prefix = f"{cadence.unit}_"
        files = sorted((repository.root / folder).glob(f"{prefix}*.sql"))
        period_ids = [file.stem.removeprefix(prefix) for file in files]
        if not period_ids:
            since: Any = dag.start_date  # a report has one
            period_ids.append(cadence.first_from(since).id)
        for period_id in period_ids:
            try:
                sql, unfiltered = _rendered(declared, cadence.period(period_id))
            except PeriodError:  # the file of no period is left over
                continue
            except SqlTemplateError as error:
                yield f"{report.sql}: {error}"
                continue
            yield Rendered(
                report=report.name,
                sql=f"{sql}\n",
                file=folder / f"{prefix}{period_id}.sql",
                unload=report.unload,
                promised=frozenset(report.columns),
                unfiltered=unfiltered,
            )


def _left_over(repository: Repository) -> set[Path]:
    """Golden files of no DAG; none while a DAG file or a template has an error."""
    if len(repository.imported) < len(repository.bags) or sql_can_be_rendered(repository):
        return set()
    files = repository.project.tests.glob("*/golden/*")
    golden = {file.relative_to(repository.root) for file in files}
    return golden - {query.file for query in rendered(repository)}


def renew(repository: Repository) -> list[Path]:
    """Write the golden files, remove those that are left over, and return what changed."""
    changed = sorted(_left_over(repository))
    for file in changed:
        (repository.root / file).unlink()
    for query in rendered(repository):
        path = repository.root / query.file
        if not path.is_file() or path.read_text(encoding="utf-8") != query.sql:
            _write(path, query.sql)
            changed.append(query.file)
    return changed


def _write(path: Path, sql: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sql, encoding="utf-8")


def write_golden(repository: Repository, report: str) -> list[Path]:
    """Write the golden files of one report, which has none, and return them."""
    files = []
    for query in rendered(repository):
        if query.report == report:
            path = repository.root / query.file
            _write(path, query.sql)
            files.append(path)
    return sorted(files)  # Airflow has the DAGs of a file in no fixed order


def sql_is_the_golden_one(repository: Repository) -> list[str]:
    """A reviewer sees what a change does to the SQL.

    Look at the difference; if it is meant, run `athena-reports check --renew`.
    """
    left_over = sorted(_left_over(repository))
    findings = {file: f"{file}: no DAG has this SQL any more." for file in left_over}
    differences = set()
    for query in rendered(repository):
        path = repository.root / query.file
        if not path.is_file():
            findings[query.file] = f"{query.file}: it is not there yet."
            continue
        golden = path.read_text(encoding="utf-8")
        if golden == query.sql:
            continue
        lines = _difference(golden, query.sql)
        changed = (query.report, *(line for line in lines if line[0] in "+-"))
        if changed in differences:
            lines = ["    differs in the same lines"]
        differences.add(changed)
        findings[query.file] = "\n".join([f"{query.file}:", *_shown(lines)])
    return list(findings.values())


def _difference(golden: str, sql: str) -> list[str]:
    lines = difflib.unified_diff(golden.splitlines(), sql.splitlines(), lineterm="", n=1)
    return list(lines)[2:]  # without the names of two files


def _shown(lines: list[str]) -> list[str]:
    """Return the first lines of a difference, short enough to be read."""
    shown = []
    for line in lines[:_DIFF_LINES]:
        if line.startswith(" "):
            # A line that stays the same may list the partitions of a year.
            line = line[:100]
        shown.append(line)
    if len(lines) > _DIFF_LINES:
        shown.append(f"... {len(lines) - _DIFF_LINES} more lines")
    return shown


Look = Callable[[Rendered], Iterable[tuple[int | None, str]]]
"""Yields what is wrong with a query, with the line if it is known."""


def _findings(repository: Repository, look: Look) -> list[str]:
    """Return what is wrong, with its file and line.

    SQL that differs from a report's other SQL in literals alone is passed over.
    """
    queries: dict[tuple[str, str], Rendered] = {}
    for query in rendered(repository):
        queries.setdefault((query.report, shape_of(query.sql)), query)
    findings = []
    for query in queries.values():
        for line, text in look(query):
            place = str(query.file)
            if line:
                place += f", line {line}"
            findings.append(f"{place}: {text}")
    return findings


def sql_is_one_query_that_trino_accepts(repository: Repository) -> list[str]:
    """Athena would refuse it in the first run, or run half of it.

    Names of functions and types count too.
    """

    def look(query: Rendered) -> Iterator[tuple[int | None, str]]:
        verdict = trino_sql_validator.validate(query.sql, jinja="reject")
        if verdict.error and _TOO_LONG in verdict.error.message:
            return
        if verdict.error:
            yield verdict.error.line, verdict.error.message
        elif verdict.statement_count != 1:
            yield None, f"there are {verdict.statement_count} statements."
        for warning in verdict.warnings:
            if not isinstance(warning, trino_sql_validator.AliasWarning):
                yield warning.line, str(warning)

    return _findings(repository, look)


def sql_orders_its_rows(repository: Repository) -> list[str]:
    """Without an outer ORDER BY equal rows come in another order.

    Then a rerun publishes another version.
    """

    def look(query: Rendered) -> Iterator[tuple[int | None, str]]:
        if not query.unload and not _is_ordered(query.sql):
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
    for column in query.selects:
        for aggregate in column.find_all(exp.AggFunc):
            if aggregate.find_ancestor(exp.Window, exp.Subquery) is None:
                return True
    return False


def sql_asks_no_clock(repository: Repository) -> list[str]:
    """A rerun reports its own period, whenever it runs.

    With a clock it reports another one, or other rows.
    """

    def look(query: Rendered) -> Iterator[tuple[int | None, str]]:
        for clock_function in _parsed(query.sql).find_all(*_CLOCKS):
            clock = f"{clock_function.sql('athena')}, the time at which the query runs"
            way_out = (
                "Take dates from the period:"
                ' {{ period.contains("event_time") }}, {{ period.end_utc }}.'
            )
            yield None, f"it asks for {clock}. {way_out}"

    return _findings(repository, look)


def sql_filters_the_partitions_of_its_inputs(repository: Repository) -> list[str]:
    """Without the filter Athena reads, and bills, every partition of a table, for the same rows."""

    def look(query: Rendered) -> Iterator[tuple[int | None, str]]:
        for source in query.unfiltered:
            keys = ", ".join(f'"{key}"' for key in source.columns)
            by_input = f"{{{{ inputs.{source.table}.partitions }}}}"
            by_period = f"{{{{ period.partitions({keys}) }}}}"
            way_out = f"Write {by_input} or {by_period}."
            yield None, f"the template asks for no filter on {source.table}. {way_out}"

    return _findings(repository, look)


def column_names_are_snake_case(repository: Repository) -> list[str]:
    """Athena and Glue make names lower case, and every query has to quote one that is not plain."""

    def look(query: Rendered) -> Iterator[tuple[int | None, str]]:
        for name in _parsed(query.sql).named_selects:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*|\*|", name) and name not in query.promised:
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

    athena_reports_cli/authoring/rules/sqlfluff.cfg has each rule's reason, and how to get round it.
    """

    def look(query: Rendered) -> Iterable[tuple[int | None, str]]:
        return repository.style(query.sql)

    return _findings(repository, look)


RULES: list[Rule] = [
    sql_can_be_rendered,
    sql_is_the_golden_one,
    sql_is_one_query_that_trino_accepts,
    sql_orders_its_rows,
    sql_asks_no_clock,
    sql_filters_the_partitions_of_its_inputs,
    column_names_are_snake_case,
    sql_reads_well,
]
