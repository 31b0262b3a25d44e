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
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlglot
from jinja2 import nodes
from sqlglot import exp

from athena_reports.errors import PeriodError, SqlTemplateError
from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Source
from athena_reports.periods.calendar import Period
from athena_reports.reports.report import Report
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import SqlInput, template_context
from athena_reports_cli.authoring.dry_run import shape_of
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule
from athena_reports_cli.authoring.template_lines import place_of

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
        declared: The report.
        period: The period.
        sql: As Athena gets it.
        file: The golden file, relative to the repository.
        unfiltered: The inputs whose partitions the template asks no filter for.
        unread: The periods whose events it selects, and whose partitions an input does not have.
    """

    declared: DeclaredReport
    period: Period
    sql: str
    file: Path
    unfiltered: tuple[Source, ...]
    unread: tuple[Period, ...]

    @property
    def report(self) -> Report:
        """The report, with the params of its cadence."""
        return self.declared.report


@dataclass(frozen=True)
class _AskedPeriod(SqlPeriod):
    """A period that notes what a template asks of it.

    Attributes:
        asked: The partition keys of filters.
        contained: The periods of the events that the template selects, without those whose
            partitions it filters itself.
    """

    asked: set[frozenset[str]] = field(default_factory=set)
    contained: set[Period] = field(default_factory=set)

    @property
    def previous(self) -> _AskedPeriod:
        return replace(self, period=self.period.previous)

    @property
    def last_year(self) -> _AskedPeriod:
        return replace(self, period=self.period.last_year)

    def contains(self, *arguments: Any, **how: Any) -> str:
        self.contained.add(self.period)
        return super().contains(*arguments, **how)

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


def _rendered(declared: DeclaredReport, period: Period, file: Path) -> Rendered:
    """Render the SQL of a period, and note what the template asks for."""
    report = declared.report
    asked_period = _AskedPeriod(period, report.late_by)
    context: Any = template_context(asked_period, report.params, report.inputs)
    asked_inputs: list[Source] = []
    for source in report.inputs:
        asked_input = _AskedInput(source, asked_period, asked=asked_inputs)
        setattr(context["inputs"], source.table, asked_input)
    sql = declared.sql(period, context)
    unfiltered = []
    unread: list[Period] = []
    for source in report.inputs:
        asks_period = frozenset(source.columns) in asked_period.asked
        if source.is_partitioned and not asks_period:
            if source not in asked_inputs:
                unfiltered.append(source)
            elif isinstance(source, Input):
                unread += asked_period.contained.difference(source.periods_read(period))
    return Rendered(
        declared=declared,
        period=period,
        sql=f"{sql}\n",
        file=file,
        unfiltered=tuple(unfiltered),
        unread=tuple(unread),
    )


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


@lru_cache(maxsize=1)  # each rule asks for them, and to render them takes a fifth of the time
def _queries(repository: Repository) -> tuple[Rendered | str, ...]:
    return tuple(_render(repository))


def _render(repository: Repository) -> Iterator[Rendered | str]:
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
            period_ids.append(declared.first_period.id)
        for period_id in period_ids:
            try:
                period = cadence.period(period_id)
                yield _rendered(declared, period, folder / f"{prefix}{period_id}.sql")
            except PeriodError:  # the file of no period is left over
                continue
            except SqlTemplateError as error:
                yield f"{report.sql}: {error}"


def _left_over(repository: Repository) -> set[Path]:
    """Golden files of no DAG; none while a DAG file or a template has an error."""
    if (
        repository.names
        or len(repository.imported) < len(repository.bags)
        or sql_can_be_rendered(repository)
    ):
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
        if query.report.name == report:
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
        changed = (query.report.name, *(line for line in lines if line[0] in "+-"))
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


Look = Callable[[Rendered], Iterable[str]]
"""Yields what is wrong with a query."""


def _findings(repository: Repository, look: Look) -> list[str]:
    """Return what is wrong, with its file.

    SQL that differs from a report's other SQL in literals alone is passed over.
    """
    return [
        f"{query.file}: {problem}"
        for query in _different_queries(repository)
        for problem in look(query)
    ]


def _different_queries(repository: Repository) -> list[Rendered]:
    queries: dict[tuple[str, str], Rendered] = {}
    for query in rendered(repository):
        queries.setdefault((query.report.name, shape_of(query.sql)), query)
    return list(queries.values())


def reports_pass_a_dry_run(repository: Repository) -> list[str]:
    """Athena would refuse the query, or the run would refuse its rows.

    A local Athena has run the report on empty tables with the columns of tables.yaml.
    """
    findings = []
    for query in _different_queries(repository):
        verdict = repository.judge(query.declared, query.period)
        if verdict.outcome == "wrong":
            findings.append(f"{query.declared.dag.dag_id}: {verdict.problem}")
    return findings


def sql_orders_its_rows(repository: Repository) -> list[str]:
    """Without an outer ORDER BY equal rows come in another order.

    Then a rerun publishes another version.
    """

    def look(query: Rendered) -> Iterator[str]:
        if not query.report.unload and not _is_ordered(query.sql):
            yield "the outer query has no ORDER BY."

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

    def look(query: Rendered) -> Iterator[str]:
        for clock_function in _parsed(query.sql).find_all(*_CLOCKS):
            clock = f"{clock_function.sql('athena')}, the time at which the query runs"
            way_out = (
                "Take dates from the period:"
                ' {{ period.contains("event_time") }}, {{ period.end_utc }}.'
            )
            yield f"it asks for {clock}. {way_out}"

    return _findings(repository, look)


def sql_filters_the_partitions_of_its_inputs(repository: Repository) -> list[str]:
    """Without the filter Athena reads, and bills, every partition of a table, for the same rows."""

    def look(query: Rendered) -> Iterator[str]:
        for source in query.unfiltered:
            keys = ", ".join(f'"{key}"' for key in source.columns)
            by_input = f"{{{{ inputs.{source.table}.partitions }}}}"
            by_period = f"{{{{ period.partitions({keys}) }}}}"
            way_out = f"Write {by_input} or {by_period}."
            yield f"the template asks for no filter on {source.table}. {way_out}"

    return _findings(repository, look)


def inputs_have_the_periods_that_the_sql_reads(repository: Repository) -> list[str]:
    """The filter of an input leaves out the events of other periods, without an error."""

    def look(query: Rendered) -> Iterator[str]:
        if query.unread:
            place = place_of(r"\bInput\(", Path(query.declared.dag.fileloc))
            periods = ", ".join(str(period) for period in query.unread)
            yield (
                f"the template selects events of {periods}, and the partitions of the input leave"
                f" them out. Add previous=True or last_year=True to the Input in {place}."
            )

    return _findings(repository, look)


def params_of_all_branches_are_declared(repository: Repository) -> list[str]:
    """The first run that takes the branch would fail."""
    findings = []
    for query in rendered(repository):
        report = query.report
        template = query.declared.template_environment.parse(report.sql_text)
        for node in template.find_all(nodes.Getattr):
            is_param = isinstance(node.node, nodes.Name) and node.node.name == "params"
            if is_param and node.attr not in report.params:
                findings.append(f"{report.sql}, line {node.lineno}: no param {node.attr!r}.")
    return list(dict.fromkeys(findings))


def column_names_are_snake_case(repository: Repository) -> list[str]:
    """Athena and Glue make names lower case, and every query has to quote one that is not plain."""

    def look(query: Rendered) -> Iterator[str]:
        for column in repository.judge(query.declared, query.period).columns:
            name = column.name
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in query.report.columns:
                way_out = (
                    "Name it such as mean_score (AS),"
                    " or declare it in Report(columns=...) if it is meant."
                )
                yield f"the column {name!r} is not in snake_case. {way_out}"

    return _findings(repository, look)


def _parsed(sql: str) -> exp.Query:
    with suppress(sqlglot.ParseError):  # the dry run says what is wrong
        query = sqlglot.parse_one(sql, read="athena")
        if isinstance(query, exp.Query):
            return query
    return exp.Select()


RULES: list[Rule] = [
    sql_can_be_rendered,
    sql_is_the_golden_one,
    reports_pass_a_dry_run,
    sql_orders_its_rows,
    sql_asks_no_clock,
    sql_filters_the_partitions_of_its_inputs,
    inputs_have_the_periods_that_the_sql_reads,
    params_of_all_branches_are_declared,
    column_names_are_snake_case,
]
