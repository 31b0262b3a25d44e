"""What a report is. Validated where it is declared, so a mistake is an import error of its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, timedelta
from functools import cached_property
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from athena_reports.checks import Check
from athena_reports.errors import ReportError
from athena_reports.periods.calendar import FIRST_YEAR, LAST_YEAR
from athena_reports.reports.sql_template import PARTITION_KINDS, ParamValue, literal, template_problem
from athena_reports.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

    from athena_reports.periods.calendar import Period

    Transform = Callable[[Iterator[pa.RecordBatch], Period], Iterator[pa.RecordBatch]]

REPORT_TAG = "athena-report"
"""Airflow tag of the DAGs of all reports."""

NO_TABLE_TAG = "no-table"
"""Airflow tag of the DAGs of a report that publishes no Parquet, so that Glue has no table of it."""

FORMATS = ("parquet", "csv", "jsonl")
_MISSING = ("fail", "partial")
_EMPTY = ("fail", "publish", "skip")

# Glue table names and S3 keys are made of it, with the cadence's name behind.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Input:
    """A table that a report reads, partitioned by date, as `period.partitions` filters it.

    Attributes:
        table: Its name in Glue.
        columns: Its partition keys: one that holds a date, or three that hold year, month and day.
        zone: IANA zone in which the partitions are dated.
        format: How one key writes its date (`strftime`).
        kind: Type of the keys: `string`, `date` or `integer`.
        previous: Whether the SQL reads the previous period too.
        missing: What a needed partition that is missing means: `fail` the run before its query is paid, or
            publish and mark as `partial`.
        database: Glue database; None for the environment's.

    Raises:
        ValueError: A field is wrong.
    """

    table: str
    columns: Sequence[str] = ("dt",)
    _: KW_ONLY
    zone: str = "UTC"
    format: str = "%Y-%m-%d"
    kind: str = "string"
    previous: bool = False
    missing: str = "fail"
    database: str | None = None

    def __post_init__(self) -> None:
        columns = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        object.__setattr__(self, "columns", columns)
        if len(columns) not in (1, 3):
            raise ValueError(f"{self.table}: give one partition key, or three, not {list(columns)}.")
        for name, value, choices in (
            ("kind", self.kind, PARTITION_KINDS),
            ("missing", self.missing, _MISSING),
        ):
            if value not in choices:
                raise ValueError(f"{self.table}: {name} is {value!r}, expected one of {', '.join(choices)}.")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{self.table}: {self.zone!r} is no time zone.") from error


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report: a SQL file and what is to become of its rows.

    Attributes:
        name: Name in lower case; DAG ids, S3 keys and tables begin with it.
        sql: SQL file, relative to the SQL folder.
        since: First date that has data, as `YYYY-MM-DD` or a date. No period before it is scheduled.
        owner: Who is asked when it fails; shown in Airflow.
        late_by: How long after it happened an event may still land. The partition filter reads that much
            further, and a period published earlier than that after its end is marked as provisional.
        params: Constants for the SQL, `{{ params.<name> }}`. They are no Airflow params: nobody can change
            them when triggering a run.
        transform: Takes the result as Arrow record batches and the period, and yields the batches that are
            published; or several of these, applied in order. None publishes the result as it is.
        checks: What must hold of the published rows, see `checks`.
        inputs: The tables that it reads, so that missing partitions are noticed.
        empty: What no rows mean: `fail`, `publish` an empty report, or `skip` and publish nothing.
        unload: Whether Athena writes the rows as Parquet files, which is faster for millions of them and
            keeps no order. None leaves it to a rule: it does if the SQL asks for no order (no ORDER BY or
            LIMIT outside of parentheses) and no CSV is published.
        outputs: Formats to publish, of `parquet`, `csv` and `jsonl` (JSON Lines).
        doc: Markdown for the people who operate the DAG; usually the module's docstring, `__doc__`.

    Raises:
        ReportError: A field is wrong; the message names the report, the field and the ways out.
    """

    name: str
    sql: str
    since: str | date
    owner: str = "airflow"
    late_by: timedelta = timedelta(0)
    params: Mapping[str, ParamValue] = field(default_factory=dict, hash=False)
    transform: Transform | list[Transform] | tuple[Transform, ...] | None = None
    checks: Sequence[Check] = ()
    inputs: Sequence[Input] = ()
    empty: str = "fail"
    unload: bool | None = None
    outputs: Sequence[str] = ("parquet", "csv")
    doc: str | None = None
    _built: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._require_name()
        self._require_since()
        if not isinstance(self.late_by, timedelta) or not timedelta(0) <= self.late_by <= timedelta(days=366):
            self.refuse("late_by", f"{self.late_by!r} is no lateness.", "Give a timedelta up to 366 days.")
        self._require_transforms()
        self._require_outputs()
        self._require_policies()
        if not isinstance(self.params, Mapping):
            self.refuse("params", f"{self.params!r} is no dictionary.", "Map each name to its value.")
        if not isinstance(self.owner, str) or not self.owner.strip():
            self.refuse("owner", f"{self.owner!r} is no name.", "Say who is asked when it fails.")
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        self.require_literals(self.params)
        if not _is_read_for_a_task():
            self._require_template()

    @property
    def transforms(self) -> Sequence[Transform]:
        """The transforms, in order."""
        if self.transform is None:
            return ()
        return tuple(self.transform) if isinstance(self.transform, list | tuple) else (self.transform,)

    @property
    def unloads(self) -> bool | None:
        """Whether Athena writes Parquet files; None where that is up to the SQL."""
        return False if self.unload is None and "csv" in self.outputs else self.unload

    @property
    def has_table(self) -> bool:
        """Whether what is published is a table in Glue too: its Parquet is."""
        return "parquet" in self.outputs

    @property
    def since_date(self) -> date:
        """`since` as a date."""
        return date.fromisoformat(self.since) if isinstance(self.since, str) else self.since

    @cached_property
    def sql_text(self) -> str:
        """The SQL template. It ends with a newline, so that Airflow never takes it for a file's name."""
        try:
            return self._sql_path().read_text(encoding="utf-8").rstrip() + "\n"
        except UnicodeDecodeError as error:
            self.refuse("sql", f"{self.sql}: {error}.", "Save the file as UTF-8.")

    def require_first(self, dag_id: str, others: set[str]) -> None:
        """Take a DAG id for this report.

        Args:
            dag_id: The id.
            others: Ids that are taken already in the same file.

        Raises:
            ReportError: It is taken, by this report or in the same file.
        """
        if dag_id in self._built | others:
            self.refuse(
                "name",
                f"the DAG {dag_id!r} is built twice.",
                "Build each cadence of a report once, and give every report a name of its own.",
            )
        self._built.add(dag_id)

    def params_for(self, cadence: str, overrides: Mapping[str, ParamValue]) -> Mapping[str, ParamValue]:
        """Return the params with those of one cadence laid over them.

        Raises:
            ReportError: An override names no param of the report, or changes its type.
        """
        for name, value in overrides.items():
            if name not in self.params:
                self.refuse(
                    f"params[{name!r}]",
                    f"the {cadence} DAG sets it, but the report does not declare it.",
                    f"Declare it in the report; declared are {', '.join(self.params) or 'none'}.",
                )
            expected = type(self.params[name])
            if type(value) is not expected:
                self.refuse(
                    f"params[{name!r}]",
                    f"the {cadence} DAG sets a {type(value).__name__}, the report a {expected.__name__}.",
                    "Give both the same type.",
                )
        self.require_literals(overrides)
        return MappingProxyType({**self.params, **overrides})

    def require_literals(self, params: Mapping[str, ParamValue]) -> None:
        """Refuse params that cannot be written as SQL literals.

        Raises:
            ReportError: For the first of them.
        """
        for name, value in params.items():
            if not str(name).isidentifier():
                self.refuse(f"params[{name!r}]", "is no name.", "Use letters, digits and underscores.")
            try:
                literal(value)
            except (TypeError, ValueError) as error:
                self.refuse(f"params[{name!r}]", str(error), "Change its value.")

    def _require_name(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            self.refuse(
                "name",
                "is no name for a DAG, an S3 key and a Glue table.",
                "Use at most 64 lower-case letters, digits and underscores, and begin with a letter.",
            )

    def _require_since(self) -> None:
        try:
            known = FIRST_YEAR <= self.since_date.year <= LAST_YEAR
        except (ValueError, AttributeError):
            known = False
        if not known:
            self.refuse("since", f"{self.since!r} is no date.", "Write it as '2025-01-01'.")

    def _require_outputs(self) -> None:
        listed = isinstance(self.outputs, Sequence) and not isinstance(self.outputs, str)
        if not listed or not self.outputs or any(output not in FORMATS for output in self.outputs):
            self.refuse(
                "outputs", f"{self.outputs!r} is no list of formats.", f"Choose from {list(FORMATS)}."
            )
        if len(set(self.outputs)) < len(self.outputs):
            self.refuse("outputs", f"{list(self.outputs)} names a format twice.", "Name each once.")

    def _require_transforms(self) -> None:
        if isinstance(self.transform, list):
            object.__setattr__(self, "transform", tuple(self.transform))
        for transform in self.transforms:
            if not _takes_two(transform):
                self.refuse(
                    "transform",
                    f"{transform!r} is no function of two arguments.",
                    "Give a function of (batches, period), or a call such as transforms.movement().",
                )

    def _require_policies(self) -> None:
        if self.empty not in _EMPTY:
            self.refuse("empty", f"{self.empty!r} is no policy.", f"Choose from {list(_EMPTY)}.")
        if self.unload is not None and not isinstance(self.unload, bool):
            self.refuse("unload", f"{self.unload!r} is neither.", "Give True, False, or leave it out.")
        for name, items, kind in (("checks", self.checks, Check), ("inputs", self.inputs, Input)):
            if not isinstance(items, Sequence) or not all(isinstance(item, kind) for item in items):
                self.refuse(name, f"{items!r} is no list of {name}.", f"See the {name} of the package.")
            object.__setattr__(self, name, tuple(items))
        tables = [source.table for source in self.inputs]
        if len(set(tables)) < len(tables):
            self.refuse("inputs", f"{tables} names a table twice.", "Name each once.")

    def _require_template(self) -> None:
        problem = template_problem(self.sql_text, self.params, settings().sql_folder)
        if problem:
            self.refuse("sql", f"{self.sql}: {problem}", "Correct the SQL file.")

    def _sql_path(self) -> Path:
        folder = settings().sql_folder
        path = folder / str(self.sql)
        if not path.resolve().is_relative_to(folder.resolve()):
            self.refuse("sql", f"{self.sql!r} lies outside {folder}.", "Move the file into that folder.")
        if not path.is_file():
            present = ", ".join(sorted(file.name for file in folder.glob("*.sql"))) or "none"
            self.refuse(
                "sql",
                f"there is no {self.sql!r} in {folder}.",
                f"Create it, correct the name (files there: {present}), or set ATHENA_REPORTS_SQL_FOLDER.",
            )
        return path

    def refuse(self, field_name: str, problem: str, way_out: str) -> NoReturn:
        """Raise a ReportError about a field of this report."""
        raise ReportError(str(self.name), field_name, problem, way_out)


def _takes_two(transform: object) -> bool:
    if not callable(transform):
        return False
    try:
        signature(transform).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _is_read_for_a_task() -> bool:
    """Whether Airflow reads the DAG file to run one of its tasks.

    The DAG processor has checked it then. See "Optimizing DAG parsing delays during execution" in Airflow's
    documentation.
    """
    # Here, so that what needs no DAG can be imported without Airflow, which takes a second.
    from airflow.sdk import get_parsing_context

    return get_parsing_context().task_id is not None
