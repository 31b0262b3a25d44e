"""The rules for a report's SQL, as it is rendered.

A reviewer reads it in tests/reports/<report>/golden/. The files there say for which periods. A
cadence without one is rendered for its first whole period; for another one too, add an empty file
of its name, `weekly_2025-03-02.sql`, and run `athena-reports check --renew`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import sqlglot
from jinja2 import TemplateError, nodes
from sqlglot import exp

from athena_reports.errors import PeriodError, SqlTemplateError
from athena_reports.inputs.input import Input
from athena_reports.periods.calendar import Period
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import SqlInput
from athena_reports_cli.authoring.dry_run import Verdict, shape_of
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule
from athena_reports_cli.authoring.tables import difference
from athena_reports_cli.authoring.template_lines import place_of

_DRY_RUNS_AT_ONCE = 4
_CLOCKS = (
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)


@dataclass(frozen=True)
class Snapshot:
    """The query of a report for one period."""

    declared: DeclaredReport
    period: Period
    file: Path  # the golden file, relative to the repository
    sql: str  # as Athena gets it; empty if the template cannot be rendered

    @cached_property
    def query(self) -> exp.Query | None:
        """The syntax of the SQL; None if it has an error, of which the dry run says more."""
        with suppress(sqlglot.ParseError):
            query = sqlglot.parse_one(self.sql, read="athena")
            if isinstance(query, exp.Query):
                return query
        return None

    @cached_property
    def names(self) -> set[str]:
        """What the template reads, such as `inputs.plays.partitions`, if it can be rendered."""
        names: set[str] = set()
        context = self.declared.template_context(self.period)
        for name in ("period", "inputs"):
            context[name] = _Recorded(context[name], name, names)
        self.declared.sql(self.period, context)
        return names


class _Recorded:
    """An object in a template, which records the names of what the template reads of it.

    The names are those of the object, whatever the template calls it.
    """

    def __init__(self, value: object, name: str, names: set[str]) -> None:
        self._value = value
        self._name = name
        self._names = names

    def __getattr__(self, attribute: str) -> Any:
        name = f"{self._name}.{attribute}"
        self._names.add(name)
        value = getattr(self._value, attribute)
        if isinstance(value, SqlPeriod | SqlInput):
            return _Recorded(value, name, self._names)
        if attribute == "partitions" and isinstance(self._value, SqlPeriod):

            def partitions(*columns: str, **options: Any) -> str:
                keys = [column.rpartition(".")[2].strip('"').lower() for column in columns]
                self._names.add(_own_filter(keys))
                return str(value(*columns, **options))

            return partitions
        return value

    def __str__(self) -> str:
        return str(self._value)


def _own_filter(keys: Iterable[str]) -> str:
    """Return the name of a `period.partitions(...)`, which filters the inputs of these keys."""
    return f"partitions of {', '.join(sorted(keys))}"


@lru_cache(maxsize=1)  # each rule asks for them
def snapshots(repository: Repository) -> tuple[Snapshot, ...]:
    """Render each DAG's query for the periods of its golden files, or for its first whole one."""
    queries = []
    for declared in repository.reports.values():
        cadence = declared.cadence
        folder = repository.project.tests / declared.report.name / "golden"
        files = list(folder.glob(f"{cadence.unit}_*.sql"))
        if not files:
            files = [folder / f"{cadence.unit}_{declared.first_period.id}.sql"]
        for file in sorted(files):
            with suppress(PeriodError):  # the file of no period is left over
                period = cadence.period(file.stem.removeprefix(f"{cadence.unit}_"))
                sql = ""
                with suppress(SqlTemplateError):  # the dry run says why
                    sql = f"{declared.sql(period)}\n"
                queries.append(Snapshot(declared, period, file.relative_to(repository.root), sql))
    return tuple(queries)


def _left_over(repository: Repository) -> list[Path]:
    """Golden files of no DAG; none while a DAG file or a template has an error."""
    queries = snapshots(repository)
    is_broken = repository.declared.broken_files or not all(query.sql for query in queries)
    if repository.names or is_broken:
        return []
    files = repository.project.tests.glob("*/golden/*")
    golden = {file.relative_to(repository.root) for file in files}
    return sorted(golden.difference(query.file for query in queries))


def renew(repository: Repository) -> list[Path]:
    """Write the golden files, remove those that are left over, and return what changed."""
    changed = _left_over(repository)
    for file in changed:
        (repository.root / file).unlink()
    for query in snapshots(repository):
        if query.sql and _golden_sql(query, repository) != query.sql:
            path = repository.root / query.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(query.sql, encoding="utf-8")
            changed.append(query.file)
    return changed


def _golden_sql(query: Snapshot, repository: Repository) -> str | None:
    """Return what a golden file has; None if it is missing."""
    path = repository.root / query.file
    return path.read_text(encoding="utf-8") if path.is_file() else None


def sql_is_the_golden_one(repository: Repository) -> list[str]:
    """The rendered SQL shows reviewers the effect of a change.

    Review the difference; if it is intended, run `athena-reports check --renew`.
    """
    findings = [f"{file}: no report uses this file." for file in _left_over(repository)]
    for query in snapshots(repository):
        golden = _golden_sql(query, repository)
        if golden is None:
            findings.append(f"{query.file}: the file is missing.")
        elif query.sql and golden != query.sql:
            differing = difference(golden.splitlines(), query.sql.splitlines(), context=1)
            findings.append(f"{query.file}:\n{differing}")
    return findings


def _different(repository: Repository) -> list[Snapshot]:
    """Return the queries without those that differ from a report's other SQL in literals alone."""
    queries: dict[tuple[str, str], Snapshot] = {}
    for query in snapshots(repository):
        queries.setdefault((query.declared.report.name, shape_of(query.sql)), query)
    return list(queries.values())


def reports_pass_a_dry_run(repository: Repository) -> list[str]:
    """Athena would reject the query, or the run would reject its rows.

    The check runs a report in a local Athena, on empty tables with the columns in tables.yaml.
    """

    def judge(query: Snapshot) -> Verdict:
        return repository.judge(query.declared, query.period)

    queries = _different(repository)
    with ThreadPoolExecutor(_DRY_RUNS_AT_ONCE) as pool:
        verdicts = list(pool.map(judge, queries))
    return [
        f"{query.declared.dag.dag_id}: {verdict.problem}"
        for query, verdict in zip(queries, verdicts, strict=True)
        if verdict.outcome == "wrong"
    ]


def sql_orders_its_rows(repository: Repository) -> list[str]:
    """Without an outer ORDER BY, a rerun can return the same rows in a different order.

    It then publishes a new version.
    """
    return [
        f"{query.file}: the outer query has no ORDER BY."
        for query in _different(repository)
        if query.query and not query.declared.report.unload and not _is_ordered(query.query)
    ]


def _is_ordered(query: exp.Query) -> bool:
    """Return whether a query has an order, or one row: an aggregate of all rows."""
    if query.args.get("order") is not None:
        return True
    if not isinstance(query, exp.Select) or query.args.get("group"):
        return False
    aggregates = [found for column in query.selects for found in column.find_all(exp.AggFunc)]
    return any(found.find_ancestor(exp.Window, exp.Subquery) is None for found in aggregates)


def sql_asks_no_clock(repository: Repository) -> list[str]:
    """A rerun must report its own period, whenever it runs.

    A query that uses the clock reports another period or other rows.
    """
    findings = []
    for query in _different(repository):
        if query.query is None:
            continue
        findings += [
            f"{query.file}: uses {clock.sql('athena')}, the time at which the query"
            ' runs. Take dates from the period: {{ period.contains("event_time") }},'
            " {{ period.end_utc }}."
            for clock in query.query.find_all(*_CLOCKS)
        ]
    return findings


def sql_filters_the_partitions_of_its_inputs(repository: Repository) -> list[str]:
    """Without the filter, Athena reads and bills all partitions of the table for the same rows."""
    findings = []
    for query in _rendered(repository):
        report = query.declared.report
        for source in report.inputs:
            filters = {
                f"inputs.{source.table}.partitions",
                f"inputs.{source.table}.partitions_of",
                _own_filter(source.columns),
            }
            if source.is_partitioned and query.names.isdisjoint(filters):
                keys = ", ".join(f'"{key}"' for key in source.columns)
                findings.append(
                    f"{report.sql}: the template does not filter the partitions of {source.table}."
                    f" Add {{{{ inputs.{source.table}.partitions }}}} or"
                    f" {{{{ period.partitions({keys}) }}}}."
                )
    return list(dict.fromkeys(findings))  # the queries of a report share its template


def inputs_have_the_periods_that_the_sql_reads(repository: Repository) -> list[str]:
    """The partition filter of an input excludes the events of other periods without an error."""
    findings = []
    for query in _rendered(repository):
        place = place_of(r"\bInput\(", Path(query.declared.dag.fileloc))
        for source in query.declared.report.inputs:
            # The template's own filter may be that of another period.
            if not isinstance(source, Input) or _own_filter(source.columns) in query.names:
                continue
            read = source.periods_read(query.period)
            for field in ("previous", "last_year"):
                is_read = f"period.{field}.contains" in query.names
                if is_read and getattr(query.period, field) not in read:
                    findings.append(
                        f"{place}: the template reads period.{field}, but the"
                        f" partitions of the input exclude it. Add {field}=True to the Input."
                    )
    return list(dict.fromkeys(findings))  # the queries of a report share its template


def _rendered(repository: Repository) -> list[Snapshot]:
    """Return the queries whose template can be rendered, and so knows its names."""
    return [query for query in _different(repository) if query.sql]


def params_of_all_branches_are_declared(repository: Repository) -> list[str]:
    """The first run that reaches this branch of the template would fail."""
    findings = []
    for declared in repository.reports.values():
        report = declared.report
        with suppress(TemplateError):  # the dry run says what is wrong
            template = declared.template_environment.parse(report.sql_text)
            findings += [
                f"{report.sql}, line {line}: the report has no param {name!r}."
                for name, line in _params_read(template)
                if name not in report.params
            ]
    return list(dict.fromkeys(findings))  # the DAGs of a report share its template


def _params_read(template: nodes.Template) -> Iterator[tuple[str, int]]:
    """Yield the names of `params.top` and `params["top"]`, with their lines."""
    for read in template.find_all((nodes.Getattr, nodes.Getitem)):
        match read:
            case nodes.Getattr(node=nodes.Name(name="params"), attr=name):
                yield name, read.lineno
            case nodes.Getitem(node=nodes.Name(name="params"), arg=nodes.Const(value=name)):
                yield str(name), read.lineno


RULES: list[Rule] = [
    sql_is_the_golden_one,
    reports_pass_a_dry_run,
    sql_orders_its_rows,
    sql_asks_no_clock,
    sql_filters_the_partitions_of_its_inputs,
    inputs_have_the_periods_that_the_sql_reads,
    params_of_all_branches_are_declared,
]
