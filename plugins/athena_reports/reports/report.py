"""The declaration of a report.

It is validated at once, so a mistake is an import error of its DAG file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar

import pydantic
from jinja2 import TemplateSyntaxError
from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, InstanceOf, model_validator

from athena_reports.declaration import CONFIG, Declaration, author_file
from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import FIRST_YEAR, LAST_YEAR
from athena_reports.reports.canonical import UnreadableError
from athena_reports.reports.column import Column, private_names, validate_names
from athena_reports.reports.logic_digest import (
    UNKNOWN,
    logic_digest,
    query_digest,
    transforms_digest,
)
from athena_reports.rows.checks import Check, promised, unique
from athena_reports.rows.formats import Format
from athena_reports.settings import find_sql_folder
from athena_reports.sql.literals import ParamValue, literal

NAME_PATTERN = "[a-z][a-z0-9_]{0,63}"
REPORT_TAG = "athena-report"  # of the Airflow DAGs of all reports
MAINTENANCE_TAG = "athena-reports-maintenance"  # of the others
NO_TABLE_TAG = "no-table"  # of those without Parquet, and so without a table in Glue

_T = TypeVar("_T")


def _require_date(day: str | date) -> date:
    if isinstance(day, str):
        try:
            day = date.fromisoformat(day)
        except ValueError:
            raise ValueError("expected a date, such as 2025-01-31") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"expected a date in the years {FIRST_YEAR} to {LAST_YEAR}")
    return day


def _require_transform(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        signature(function).bind(None, None)  # rows and period
    except TypeError:
        raise ValueError(
            "expected a function that takes (rows, period), or a call such as movement()"
        ) from None
    return function


def _require_unit(size: object) -> object:
    if isinstance(size, str) and size.isdecimal():
        raise ValueError("expected a size with its unit, such as '20 GB'")
    return size


def _require_literal(value: ParamValue) -> ParamValue:
    literal(value)  # refuses what SQL cannot say
    return value


def _require_each_once(items: Sequence[_T]) -> tuple[_T, ...]:
    if len(set(items)) < len(items):
        raise ValueError("list each item only once")
    return tuple(items)


def _require_key(columns: Sequence[str]) -> tuple[str, ...]:
    if not all(columns):
        raise ValueError("a column has no name")
    return _require_each_once(columns)


def _require_each_table_once(inputs: Sequence[Source]) -> tuple[Source, ...]:
    _require_each_once([source.table for source in inputs])
    return tuple(inputs)


# What the fields of a report take. An author may give a list or a dictionary; what is stored of it
# cannot be changed.
_Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
_Date = Annotated[str | date, AfterValidator(_require_date)]
_Lateness = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=366))]
_ParamName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
_ParamValue = Annotated[Any, AfterValidator(_require_literal)]
_Params = Annotated[Mapping[_ParamName, _ParamValue], AfterValidator(MappingProxyType)]
_Transform = Annotated[Callable[..., Any], AfterValidator(_require_transform)]
_Transforms = Annotated[Sequence[_Transform], AfterValidator(tuple)]
_Columns = Annotated[Mapping[str, InstanceOf[Column]], AfterValidator(validate_names)]
_Key = Annotated[Sequence[str], AfterValidator(_require_key)]
_Checks = Annotated[Sequence[InstanceOf[Check]], AfterValidator(tuple)]
_Inputs = Annotated[
    Sequence[InstanceOf[Input] | InstanceOf[Published]], AfterValidator(_require_each_table_once)
]
_Bytes = Annotated[ByteSize, Field(gt=0), BeforeValidator(_require_unit)]
_Formats = Annotated[Sequence[Format], Field(min_length=1), AfterValidator(_require_each_once)]


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=CONFIG)
class Report(Declaration):
    """One report: a SQL file, and what happens to its rows.

    Attributes:
        name: Up to 64 lower-case letters, digits and underscores; DAG ids, S3 keys and tables begin
            with it.
        sql: SQL file, relative to the SQL folder: the nearest `include/sql` above `declared_in`,
            unless a setting names another.
        since: First date that has data, as `YYYY-MM-DD` or a date. No period before it is
            scheduled.
        until: Last date that has data; None while the report goes on. No period that starts after
            it is scheduled.
        owner: Who is asked when it fails; shown in Airflow.
        late_by: How late events may land. The filter reads that much further; until then a period
            is provisional.
        params: Constants for the SQL, `{{ params.<name> }}`. They are not Airflow params: no
            trigger changes them.
        transform: Function of rows (a DuckDB relation) and period that returns the rows to publish,
            or a list of these.
        columns: The `Column` of each name that the rows must have, in any order; empty if the
            report promises none.
        key: The columns that tell rows apart, such as `["department", "age"]`. That is one of the
            checks: no two rows may have the same values in them. A `checks.unique` of the same
            columns takes its place, with its own severity. Left out, the key is the columns of the
            first `checks.unique`.
        checks: What must hold of the published rows, see `checks`.
        inputs: What it reads, so that missing partitions are noticed: an `Input` for each table, a
            `Published` for each report.
        empty: What happens if there are no rows: `fail`, `publish` an empty report, or `skip` the
            period.
        may_lose_rows: Whether a later version of a period may have no rows although an earlier one
            had some, such as a list of open problems. Without it, such a version has the warning
            `rows_lost`. Needs `empty="publish"`.
        logic_version: What stands for the code of the transforms in the digest of the report's
            logic; empty to read their code. Whoever gives it raises it whenever a transform changes
            the rows. Without it, the logic is unknown if a transform cannot be read, such as a
            method of an object.
        unload: Whether Athena writes the rows as Parquet (UNLOAD): faster for millions of rows,
            keeps no order.
        max_scan: The most that a query may scan, such as `20 GB`; None for no limit. Needs
            `inputs`.
        outputs: Formats to publish: `parquet`, `csv`, `csv_for_spreadsheets` (no text is a formula
            there), `jsonl`.
        doc: Markdown for the people who operate the DAG; usually the module's docstring, `__doc__`.
        declared_in: The file that declares it. Only a shared function that declares reports for
            files elsewhere gives it, as `Path(file)`.
    """

    name: _Name
    sql: str
    since: _Date
    until: _Date | None = None
    owner: Annotated[str, Field(min_length=1)] = "airflow"
    late_by: _Lateness = timedelta(0)
    params: _Params = Field(default_factory=dict, validate_default=True)
    transform: _Transform | _Transforms | None = None
    columns: _Columns = Field(default_factory=dict, validate_default=True)
    key: _Key = ()
    checks: _Checks = ()
    inputs: _Inputs = ()
    empty: Literal["fail", "publish", "skip"] = "fail"
    may_lose_rows: bool = False
    logic_version: str = ""
    unload: bool = False
    max_scan: _Bytes | None = None
    outputs: _Formats = ("parquet", "csv")
    doc: str | None = None
    declared_in: Path = Field(default_factory=author_file, repr=False)

    @model_validator(mode="after")
    def _require_agreement(self) -> Self:
        if self.until is not None and str(self.until) < str(self.since):
            self.refuse(
                "until",
                f"{self.until} is before since ({self.since}). Set until to the last date with"
                " data.",
            )
        if self.max_scan is not None and not self.inputs:
            self.refuse("max_scan", "requires the report's inputs. Declare them.")
        if self.may_lose_rows and self.empty != "publish":
            self.refuse("may_lose_rows", 'requires empty="publish". Set both, or remove it.')
        for name in self.key:
            if self.columns and name not in self.columns:
                self.refuse(
                    "key",
                    f"{name!r} is not a column of the report."
                    f" Use one of {', '.join(self.columns)}.",
                )
        _ = self.sql_text  # which has to exist
        return self

    @property
    def transforms(self) -> Sequence[Callable[..., Any]]:
        """The transforms, in order."""
        if callable(self.transform):
            return (self.transform,)
        return self.transform or ()

    @property
    def row_key(self) -> Sequence[str]:
        """The columns that tell rows apart, declared or of a check; empty if none are known to."""
        for key in (self.key, *(check.key for check in self.checks)):
            if key:
                return key
        return ()

    @property
    def all_checks(self) -> Sequence[Check]:
        """The checks: those that `columns` and `key` imply, then the declared ones."""
        implied = []
        if self.columns:
            types = {name: column.type for name, column in self.columns.items()}
            implied.append(promised(types))
        checked_keys = [set(check.key) for check in self.checks]
        if self.key and set(self.key) not in checked_keys:
            implied.append(unique(*self.key))
        return (*implied, *self.checks)

    @property
    def has_table(self) -> bool:
        """Whether Glue has a table of what is published: it has one of Parquet."""
        return "parquet" in self.outputs

    @property
    def has_private_columns(self) -> bool:
        """Whether values of a column stay in S3."""
        return bool(private_names(self.columns))

    @cached_property
    def sql_folder(self) -> Path:
        """The folder of its SQL file, and of what that includes."""
        return find_sql_folder(self.declared_in)

    @cached_property
    def sql_text(self) -> str:
        """The SQL template; its newline at the end keeps Airflow from taking it for a file."""
        folder = self.sql_folder
        path = folder / self.sql
        is_inside = path.resolve().is_relative_to(folder.resolve())
        if not is_inside or not path.is_file():
            files = sorted(file.name for file in folder.glob("*.sql"))
            self.refuse(
                "sql",
                f"{self.sql!r} does not exist in {folder}. Correct the name (files there:"
                f" {', '.join(files) or 'none'}), or set ATHENA_REPORTS_SQL_FOLDER.",
            )
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            self.refuse("sql", f"{self.sql}: {error}. Save the file as UTF-8.")
        return text.rstrip() + "\n"

    @property
    def logic(self) -> str:
        """A digest of what makes the rows, with its kind: `v3:` and 16 hexadecimal digits.

        `unknown` if a transform cannot be read and there is no `logic_version`.
        """
        return logic_digest(self.query_logic, self.transforms_logic)

    @cached_property
    def query_logic(self) -> str:
        """The digest of what makes the query: template, params, and the filters of the inputs."""
        try:
            return query_digest(
                self.sql_text,
                self.sql_folder,
                params=self.params,
                inputs=self.inputs,
                late_by=self.late_by,
            )
        except TemplateSyntaxError as error:
            self.refuse("sql", f"{self.sql}, line {error.lineno}: {error.message}")

    @cached_property
    def transforms_logic(self) -> str:
        """The digest of the transforms, or `unknown`. What else makes the rows is in the SQL."""
        try:
            return transforms_digest(self.transforms, self.logic_version)
        except UnreadableError:
            return UNKNOWN

    def with_params(self, cadence: str, overrides: Mapping[str, ParamValue]) -> Self:
        """Return the report with the params of one cadence laid over its own.

        A ReportError says if the report has no such param, or one of another type.
        """
        if not overrides:
            return self
        declared = {name: type(value).__name__ for name, value in self.params.items()}
        for name, value in overrides.items():
            kind = type(value).__name__
            if declared.get(name) != kind:
                listed = [f"{kind} {param}" for param, kind in declared.items()]
                self.refuse(
                    f"params[{name!r}]",
                    f"the {cadence} DAG sets {kind} {name}; the report declares"
                    f" {', '.join(listed) or 'none'}.",
                )
        return replace(self, params={**self.params, **overrides})  # which validates it again
