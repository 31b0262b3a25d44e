"""Judges reports by a dry run: each report runs, to its checks, in a local Athena on empty tables.

So names, types and syntax are judged by an engine before a query is paid. The tables have the
columns of `tables.yaml`, or of Glue. The table of another report has the columns that it declares,
or else those that its own dry run returns.
"""

import re
import secrets
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

import athena_reports
from athena_reports.aws.s3 import S3
from athena_reports.errors import QueryError, ResultError, SqlTemplateError, TransformError
from athena_reports.inputs.published import KEY
from athena_reports.periods.calendar import Period
from athena_reports.queries.failures import QueryFailedError
from athena_reports.queries.request import QueryRequest
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport, line_with, shown_path
from athena_reports_cli.authoring.source_tables import (
    TABLES_FILE,
    FindTable,
    TableSchema,
    table_name,
)
from athena_reports_cli.authoring.template_lines import place_of, template_place
from athena_reports_cli.authoring.trial import (
    CATALOG,
    NOT_SUPPORTED_LOCALLY,
    Aws,
    QueryRefusedError,
    TrialRequest,
    recipe_of,
    trial,
    without_history,
)
from athena_reports_cli.local.lake import create_glue_table
from athena_reports_cli.local.local_endpoint import remote_endpoint
from athena_reports_cli.local.services import Services, local_services

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_NAME_AND_PLACE = re.compile(r"^([A-Z_]+: )?(line \d+:\d+: )?")
# What a local Athena cannot judge: what it lacks, other catalogs, and its own limits.
_NOT_JUDGED = re.compile(
    f"{NOT_SUPPORTED_LOCALLY}|CATALOG_NOT_FOUND|INTERNAL|EXCEEDED_|QUERY_TEXT_TOO_LARGE|"
    "STACK_OVERFLOW"
)
_MISSING_TABLE = re.compile(r"Table 'awsdatacatalog\.([^.']+)\.([^']+)' does not exist")
_MISSING_DATABASE = re.compile(r"Schema '([^']+)' does not exist")
_MISSING_COLUMN = re.compile(r"Column '([^']+)' cannot be resolved")
_FAILED_TRANSFORM = re.compile(r"\((\w+)\) failed: ")
_DIFFERING_COLUMN = re.compile(r"'(?P<name>[^']+)' is ((?P<missing>missing)|\w)")
_LITERALS = re.compile(r"'[^']*'(, '[^']*')*|\b\d+\b")
# One row in the place of none. `random` keeps DuckDB from computing the condition beforehand.
_UNREADABLE = (
    "SELECT rows.* FROM rows RIGHT JOIN (SELECT 1) ON true"
    " WHERE CASE WHEN random() >= 0 THEN error('a row was read') END"
)


Outcome = Literal["valid", "wrong", "not validated"]


class Verdict(BaseModel, frozen=True):
    """What a dry run says of a report.

    `problem` begins with a file and a line where these are known. `columns` are those of the rows,
    as far as they are known.
    """

    outcome: Outcome
    problem: str = ""
    columns: tuple[TableColumn, ...] = ()


Judge = Callable[[DeclaredReport, Period], Verdict]


class WrongReportError(QueryError):
    """A dry run has found a mistake in a report, so no query was started."""


def shape_of(sql: str) -> str:
    """Return the SQL with `?` for its literals, which differ from period to period."""
    return _LITERALS.sub("?", sql)


class DryRun:
    """Judges the reports of a project, each SQL once: the verdicts are by report and SQL.

    The tables are in a region of their own, since others may use the local Athena too. The reports,
    by the ids of their DAGs, are those that may be read.
    """

    def __init__(
        self, endpoint_url: str, reports: Mapping[str, DeclaredReport], find_table: FindTable
    ) -> None:
        self.verdicts: dict[tuple[str, str], Verdict] = {}
        self._reports = reports
        self._find_table = find_table
        self._tables: dict[tuple[str, str], TableSchema | None] = {}
        self._tables_lock = threading.RLock()
        self._databases: set[str] = set()
        self._region = f"dry-run-{secrets.token_hex(4)}"
        services = Services(endpoint_url, self._region)
        self._aws = Aws(services.athena, services.glue, S3(services.s3))
        managed: Any = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
        in_region: Any = {"LocationConstraint": self._region}
        services.athena.create_work_group(Name=self._region, Configuration=managed)
        services.s3.create_bucket(Bucket=self._region, CreateBucketConfiguration=in_region)

    def close(self) -> None:
        """Remove what it has created beside the tables, which nobody sees in their region."""
        self._aws.s3.client.delete_bucket(Bucket=self._region)
        self._aws.athena.delete_work_group(WorkGroup=self._region, RecursiveDeleteOption=True)

    def judge(self, declared: DeclaredReport, period: Period) -> Verdict:
        """Return what a dry run of a period says of its report.

        SQL that differs from other SQL of the report in literals alone is not run again.
        """
        try:
            sql = declared.sql(period)
        except SqlTemplateError as error:
            return Verdict(outcome="wrong", problem=f"{declared.report.sql}: {error}")
        key = (declared.report.name, shape_of(sql))
        if key not in self.verdicts:
            self.verdicts[key] = self._judge(declared, period, sql)
        return self.verdicts[key]

    def require_valid(self, declared: DeclaredReport, period: Period) -> Verdict:
        """Return the verdict; WrongReportError if the report is wrong."""
        verdict = self.judge(declared, period)
        if verdict.outcome == "wrong":
            problem = f"{verdict.problem} No query was started."
            raise WrongReportError(f"{declared.dag.dag_id}, period {period.id}: {problem}")
        return verdict

    def _judge(self, declared: DeclaredReport, period: Period, sql: str) -> Verdict:
        for source in declared.report.inputs:
            if source.catalog is not None:
                return _not_validated(f"The dry run does not support the catalog {source.catalog}.")
            database = source.database or settings().database
            table = self._table(database, source.table)
            if table is None and source.dag_id in self._reports:
                return _not_validated(
                    f"The dry run cannot determine the columns of {source.dag_id}. Declare them:"
                    " Report(columns=...)."
                )
            if table is None:
                place = place_of(rf"Input\(\s*[\"']{source.table}", Path(declared.dag.fileloc))
                return _wrong(place, self._unknown_table(database, source.table))
            if not table.columns:
                name = table_name(database, source.table)
                return _not_validated(f"Glue has no columns for {name}.")
        query = QueryRequest(
            query=sql,
            context={"Database": settings().database, "Catalog": CATALOG},
            workgroup=self._region,
            result_configuration={},
        )
        request = TrialRequest(declared, period, query, without_history(recipe_of(declared)))
        while True:
            try:
                return self._run(request)
            except QueryRefusedError as error:
                reason = error.reason
            except QueryFailedError as error:
                reason = error.execution.reason
            if not self._create_missing(reason):
                return self._verdict_of_sql(reason, request)

    def _run(self, request: TrialRequest) -> Verdict:
        try:
            with trial(request, self._aws) as done:
                return _verdict_of_checks(done.checks, done.table.columns, request.declared)
        except ResultError as error:
            _, _, problem = str(error).partition(": ")  # without the report and the period
            return _wrong(shown_path(request.declared.sql_path), problem)
        except TransformError as error:
            return self._verdict_of_transform(error, request)

    def _verdict_of_sql(self, reason: str, request: TrialRequest) -> Verdict:
        """Return the verdict on a query that the local Athena refuses."""
        declared = request.declared
        line = template_place(reason, request.query.query, declared, request.period)
        place = line or shown_path(declared.sql_path)
        problem = f"{_NAME_AND_PLACE.sub('', reason).rstrip('.')}.{self._advice(reason)}"
        if _NOT_JUDGED.match(reason):
            return _not_validated(f"{place}: {problem}")
        return _wrong(place, problem)

    def _advice(self, reason: str) -> str:
        """Return sentences on what may be meant, after an error of Athena."""
        table = _MISSING_TABLE.search(reason)
        if table is not None:
            return f" {self._unknown_table(table[1], table[2])}"
        column = _MISSING_COLUMN.search(reason)
        if column is None:
            return ""
        tables = tuple(self._tables.values())  # other threads add some
        columns = {name for table in tables if table for name in table.all_columns}
        return _meant(column[1].rpartition(".")[2], sorted(columns))

    def _unknown_table(self, database: str, name: str) -> str:
        unknown = table_name(database, name)
        known = [table_name(*names) for names, table in tuple(self._tables.items()) if table]
        known += [table_name(settings().report_database, dag_id) for dag_id in self._reports]
        return (
            f"{TABLES_FILE} has no table {unknown}.{_meant(unknown, known)} Correct the name, or"
            " run `athena-reports check --tables` to read the table's columns from Glue."
        )

    def _verdict_of_transform(self, error: TransformError, request: TrialRequest) -> Verdict:
        """Return the verdict on transforms that fail without rows.

        They are wrong if they fail in the same way before they read a row.
        """
        problem = str(error).removeprefix(f"{request.about}: ")
        place = _place_in_transform(error, request.declared)
        transforms = [_one_unreadable_row, *request.recipe.transforms]
        recipe = replace(request.recipe, transforms=transforms)
        try:
            with trial(replace(request, recipe=recipe), self._aws):
                pass
        except TransformError as again:
            if str(again.__cause__) == str(error.__cause__):
                return _wrong(place, problem)
        return _not_validated(f"{place}: {problem}")

    def _create_missing(self, reason: str) -> bool:
        """Create the database or the table that a query lacks; False if none is known."""
        database = _MISSING_DATABASE.search(reason)
        if database is not None:
            self._create_database(database[1])
            return True
        table = _MISSING_TABLE.search(reason)
        return table is not None and self._table(table[1], table[2]) is not None

    def _create_database(self, name: str) -> None:
        if name in self._databases:
            return
        with suppress(self._aws.glue.exceptions.AlreadyExistsException):
            self._aws.glue.create_database(DatabaseInput={"Name": name})
        self._databases.add(name)

    def _table(self, database: str, name: str) -> TableSchema | None:
        """Return a table, which has no rows; None if its columns are not known."""
        key = (database.lower(), name.lower())
        with self._tables_lock:
            if key not in self._tables:
                self._tables[key] = None  # for a report that reads itself
                table = self._published_table(*key) or self._find_table(*key)
                if table is not None:
                    self._create_table(*key, table)
                    self._tables[key] = table
            return self._tables[key]

    def _create_table(self, database: str, name: str, table: TableSchema) -> None:
        self._create_database(database)
        create_glue_table(
            self._aws.glue,
            database,
            name,
            columns=table.columns,
            keys=table.partition_keys,
            table_uri=f"s3://{self._region}/{name}/",
        )

    def _published_table(self, database: str, name: str) -> TableSchema | None:
        """Return the table of a report; None if no such report is here.

        It has the columns that the report declares, or else those that its own dry run returns.
        """
        read = self._reports.get(name)
        if read is None or database != settings().report_database.lower():
            return None
        columns = {column: kind.type for column, kind in read.report.columns.items()}
        if not columns:
            verdict = self.judge(read, read.first_period)
            columns = {column.name: column.glue for column in verdict.columns}
        if not columns:
            return None
        return TableSchema(environment="", columns=columns, partition_keys={KEY: "string"})


@contextmanager
def open_dry_run(
    aws: Aws, reports: Sequence[DeclaredReport], find_table: FindTable
) -> Iterator[DryRun]:
    """Make dry runs in the local Athena of the shell; if it has none, in one that is started."""
    reports_by_id = {declared.dag.dag_id: declared for declared in reports}
    endpoint_url = aws.athena.meta.endpoint_url
    with ExitStack() as stack:
        if remote_endpoint(aws.athena):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            services = stack.enter_context(local_services(Path(folder) / "local-aws.log"))
            endpoint_url = services.endpoint_url
        dry_run = DryRun(endpoint_url, reports_by_id, find_table)
        yield stack.enter_context(closing(dry_run))


def _wrong(place: str, problem: str) -> Verdict:
    return Verdict(outcome="wrong", problem=f"{place}: {problem}")


def _not_validated(problem: str) -> Verdict:
    return Verdict(outcome="not validated", problem=problem)


def _verdict_of_checks(
    results: Sequence[CheckResult], columns: tuple[TableColumn, ...], declared: DeclaredReport
) -> Verdict:
    """Return the verdict on rows that have come out.

    A check that has counted rows gives a value. Without rows it says nothing of the report.
    """
    problems = []
    for result in results:
        if not result.passed and result.value is None:
            problem = f"Check {result.name} failed: {result.message}"
            problems.append(f"{_place_of_check(result, declared)}: {problem}")
    if not problems:
        return Verdict(outcome="valid", columns=columns)
    report = declared.report
    if report.unload and any("<" in column.type for column in report.columns.values()):
        problem = "An UNLOAD without rows does not return the types of nested columns."
        return Verdict(outcome="not validated", problem=problem, columns=columns)
    return Verdict(outcome="wrong", problem="\n".join(problems), columns=columns)


def _place_of_check(result: CheckResult, declared: DeclaredReport) -> str:
    """Return the file and the line that a failed check is about."""
    dag_file = Path(declared.dag.fileloc)
    kind, _, arguments = result.name.rstrip(")").partition("(")
    if kind == "unique" and declared.report.key:
        return place_of(r"\bkey=", dag_file)
    if arguments:
        column = re.escape(arguments.partition(", ")[0])
        return place_of(rf"\b{kind}\(\s*[\"']{column}", dag_file)
    differing = _DIFFERING_COLUMN.search(result.message)
    if differing is None:  # their order
        return shown_path(dag_file)
    name = re.escape(differing["name"])
    if differing["missing"]:
        return place_of(rf"[\"']{name}[\"']\s*:", dag_file)
    return place_of(rf"\bAS\s+\"?{name}\b", declared.sql_path)


def _one_unreadable_row(rows: "DuckDBPyRelation", _: Period) -> Any:
    """Return one row that fails when it is read."""
    return rows.query("rows", _UNREADABLE)


def _place_in_transform(error: TransformError, declared: DeclaredReport) -> str:
    """Return the line of an author that an error of a transform comes from."""
    assert error.__cause__ is not None
    library = Path(athena_reports.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__cause__.__traceback__)):
        path = Path(frame.filename)
        if "site-packages" not in path.parts and not path.is_relative_to(library):
            quoted_name = re.search(r'"([^"]+)"', str(error.__cause__))
            line = line_with(quoted_name[1] if quoted_name else "", frame)
            return f"{shown_path(path)}, line {line}"
    # It returned something else than rows, or it is a transform of this package.
    failed = _FAILED_TRANSFORM.search(str(error))
    name = failed[1] if failed is not None else ""
    return place_of(rf"def _*{name}\(", Path(declared.dag.fileloc))


def _meant(name: str, known: Sequence[str]) -> str:
    """Return a question for the names that resemble a name; empty if none does."""
    similar = get_close_matches(name, known)
    if not similar:
        return ""
    return f" Did you mean {' or '.join(similar)}?"
