"""What an edited report would change.

Its last published periods are queried again, and compared with what is published. The data may have
changed too since then: late data. Where possible, its changes are separated from those of the edit.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.aws.s3 import S3Error, split_uri
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import CalendarError, conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.reports.logic_digest import UNKNOWN, is_same
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.differences import Change, Differences, Value, find_differences
from athena_reports.rows.engine import Engine
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import (
    Aws,
    TrialRequest,
    run_request,
    trial,
    warn,
    why_not_published,
)
from athena_reports_cli.local.words import counted


class PlanError(AthenaReportsError):
    """There is nothing to compare with."""


class Separation(BaseModel, frozen=True):
    """What changes by late data, and what by the edit, with what it cost to tell them apart.

    To tell them apart, the published SQL with today's transforms is run on today's data. Its rows
    stand between the published and the edited ones. It is not run if nothing was edited: then all
    is late data.
    """

    late_data: Differences  # from what is published to what the published SQL gives today
    edit: Differences  # from there to what the edited report gives
    scanned_bytes: int = 0
    price_usd: float | None = None


class PlannedPeriod(BaseModel, frozen=True):
    """A period as it is published, and as it would be.

    If something changes, either `separation` separates late data from the edit, or `not_separated`
    says why it cannot.
    """

    period: str
    version: str  # the published version that it is compared with
    rows: int
    differences: Differences
    failed: str  # why it would not be published, such as a failed check; empty if it would
    scanned_bytes: int
    price_usd: float | None
    separation: Separation | None = None
    not_separated: str = ""


class ChangePlan(BaseModel, frozen=True):
    """What changes in the last published periods of a report, oldest first."""

    dag_id: str
    periods: tuple[PlannedPeriod, ...]

    @property
    def changed(self) -> list[str]:
        """The ids of the periods that would change."""
        return [planned.period for planned in self.periods if not planned.differences.is_empty]

    @property
    def restatable(self) -> list[str]:
        """The ids of the periods that would change, and that would be published."""
        return [
            planned.period
            for planned in self.periods
            if not planned.differences.is_empty and not planned.failed
        ]

    @property
    def failed(self) -> list[str]:
        """The ids of the periods that would not be published."""
        return [planned.period for planned in self.periods if planned.failed]


def published_before(declared: DeclaredReport, number: int, aws: Aws) -> list[Period]:
    """Return the last published periods of a report, oldest first; PlanError if there is none."""
    published: list[Period] = []
    if declared.database:
        table = Table(declared.database, declared.location, aws.glue)
        published = sorted(table.periods_of(declared.cadence))
    if not published:
        raise PlanError(
            f"No period of {declared.dag.dag_id} ({declared.cadence.description}) is published"
            " in Glue: there is nothing to compare with."
        )
    return published[-number:]


def check_folder(declared: DeclaredReport, aws: Aws) -> None:
    """Raise CalendarError if no run could publish the report, before anything is paid."""
    conflict = conflict_in_folder(declared.location, declared.calendar, aws.s3)
    if conflict:
        raise CalendarError(conflict)


def check_comparable(
    declared: DeclaredReport, periods: Sequence[Period], key: Sequence[str], aws: Aws
) -> None:
    """Look for what the periods are compared with, before anything is paid.

    PlanError if a period has no Parquet, or is published without a column of the key.
    """
    for period in periods:
        columns = [column.name for column in _published(declared, period, aws).columns]
        for name in key:
            if name not in columns:
                raise PlanError(
                    f'{declared.dag.dag_id}, period {period.id} has no column "{name}". Choose the'
                    f" row key among {', '.join(columns)}."
                )


def scans_of_published_sql(
    declared: DeclaredReport, periods: Sequence[Period], aws: Aws
) -> list[int]:
    """Return the bytes that the published SQL scanned, where it is run again if rows change.

    These are the periods whose SQL was edited since, or anything else that shows in it, but not the
    transforms.
    """
    scanned_bytes = []
    for period in periods:
        manifest = _published(declared, period, aws)
        is_edited = not is_same(manifest.logic, declared.logic)
        if is_edited and is_same(manifest.transforms_logic, declared.report.transforms_logic):
            scanned_bytes.append(manifest.query.scanned_bytes)
    return scanned_bytes


def make_plan(
    declared: DeclaredReport,
    periods: Sequence[Period],
    key: Sequence[str],
    aws: Aws,
    show_progress: Callable[[str], None],
) -> ChangePlan:
    """Pay the query of each period, and compare its rows with the published ones.

    Nothing is published. What Athena wrote is removed. What cannot be removed, or is left by an
    interrupted plan, expires with the other query results.

    Args:
        declared: The report, as it is edited.
        periods: Published periods.
        key: The columns that tell rows apart; empty for the key of the report.
        aws: The services.
        show_progress: Is called with a line of text before each query.

    Raises:
        ScanLimitError: A run of a period would not start its query.
        QueryFailedError: The query of a period does not succeed.
        AthenaReportsError: What is published or queried cannot be read, or a transform fails.
        ClientError: AWS refused a call, or did not serve it.
        BotoCoreError: Likewise, if a call was not sent or not answered.
    """
    planned = []
    for period in periods:
        show_progress(f"{declared.dag.dag_id} {period.id}")
        planned.append(_Comparison(declared, period, key, aws).planned())
    return ChangePlan(dag_id=declared.dag.dag_id, periods=tuple(planned))


class _Comparison:
    """What is published of a period, beside what would be."""

    def __init__(
        self, declared: DeclaredReport, period: Period, key: Sequence[str], aws: Aws
    ) -> None:
        self.declared = declared
        self.period = period
        self.key = key
        if not key:
            self.key = declared.report.row_key
        self.aws = aws
        self.location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
        self.manifest = _published(declared, period, aws)

    def planned(self) -> PlannedPeriod:
        """Run the edited report and compare."""
        with trial(self._request(), self.aws) as done:
            _remove_result(done.execution.output_location, self.aws)
            published = _Rows(done.engine.folder / "published.parquet", self.manifest.columns)
            self.aws.s3.download(self.location.uri(self.manifest.parquet_key), published.path)
            edited = _Rows(done.table.path, done.table.columns)
            differences = self._differences(published, edited, done.engine)
            planned = PlannedPeriod(
                period=self.period.id,
                version=self.manifest.version,
                rows=done.table.rows,
                differences=differences,
                failed=why_not_published(self.declared, done),
                scanned_bytes=done.execution.scanned_bytes,
                price_usd=done.execution.price_usd,
            )
            if differences.is_empty:
                return planned
            if is_same(self.manifest.logic, self.declared.logic):
                nothing = self._differences(edited, edited, done.engine)
                separation = Separation(late_data=differences, edit=nothing)
                return planned.model_copy(update={"separation": separation})
            problem = self._why_not_separated()
            if problem:
                return planned.model_copy(update={"not_separated": problem})
            try:
                separation = self._separate(published, edited, done.engine)
            # The edited query is paid already, so its plan is shown anyway. And the edit may be
            # what lets the SQL run again.
            except (AthenaReportsError, BotoCoreError, ClientError) as error:
                problem = f"could not run the published SQL today: {error}"
                return planned.model_copy(update={"not_separated": problem})
            return planned.model_copy(update={"separation": separation})

    def _why_not_separated(self) -> str:
        published_transforms = self.manifest.transforms_logic
        transforms = self.declared.report.transforms_logic
        if not published_transforms:
            return "the manifest does not name the transforms of the publication."
        if UNKNOWN in (published_transforms, transforms):
            return "the logic of the transforms is unknown. Set logic_version= on the report."
        if published_transforms != transforms:
            return "the transforms were edited."
        return ""

    def _separate(self, published: "_Rows", edited: "_Rows", engine: Engine) -> Separation:
        """Run the published SQL on today's data, and compare its rows with the other two."""
        manifest = self.manifest
        uri = self.location.sql_uri(manifest.version, manifest.query.sql_sha256)
        content, _ = self.aws.s3.read(uri)
        request = self._request()
        published_query = request.query.model_copy(update={"query": content.decode()})
        with trial(replace(request, query=published_query), self.aws) as done:
            _remove_result(done.execution.output_location, self.aws)
            # The engine that compares can read in its own folder alone.
            path = engine.folder / "published_sql.parquet"
            shutil.copyfile(done.table.path, path)
            published_sql_today = _Rows(path, done.table.columns)
            execution = done.execution
        return Separation(
            late_data=self._differences(published, published_sql_today, engine),
            edit=self._differences(published_sql_today, edited, engine),
            scanned_bytes=execution.scanned_bytes,
            price_usd=execution.price_usd,
        )

    def _request(self) -> TrialRequest:
        return run_request(self.declared, self.period, self.aws, command="plan")

    def _differences(self, old: "_Rows", new: "_Rows", engine: Engine) -> Differences:
        return find_differences(
            old=old.path,
            new=new.path,
            old_columns=old.columns,
            new_columns=new.columns,
            key=self.key,
            engine=engine,
        )


class _Rows(NamedTuple):
    """Rows of a period as a Parquet file in the folder of the engine that compares."""

    path: Path
    columns: Sequence[TableColumn]


def _published(declared: DeclaredReport, period: Period, aws: Aws) -> Manifest:
    """Return the manifest of a published period; PlanError if it has no Parquet."""
    location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
    manifest, _ = read_manifest(location, aws.s3)
    if manifest is None or not manifest.parquet_key:
        raise PlanError(
            f"{location.manifest_uri} has no Parquet to compare with. Publish the period again."
        )
    return manifest


def _remove_result(uri: str, aws: Aws) -> None:
    """Remove what Athena wrote for a query. The plan is shown also if that fails."""
    _, object_key = split_uri(uri)
    if not object_key:  # the workgroup manages its results
        return
    try:
        aws.s3.delete([uri, f"{uri}.metadata"])
    except S3Error as error:
        warn(f"{error} It expires with the other query results.")


def markdown(plan: ChangePlan) -> str:
    """Return a plan as Markdown, for a pull request."""
    lines = [
        f"### {plan.dag_id}: {len(plan.changed)} of {counted(len(plan.periods), 'period')}"
        " would change",
        "",
        "| period | rows | added | removed | changed | in columns | scanned bytes | USD |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for planned in plan.periods:
        counts = _counts(planned.differences)
        cost = _cost(planned.scanned_bytes, planned.price_usd)
        lines.append(_table_row([planned.period, str(planned.rows), *counts, *cost]))
    lines += _separations(plan)
    for planned in plan.periods:
        if planned.failed:
            lines += ["", f"{planned.period} would not be published. {planned.failed}"]
        if planned.not_separated:
            problem = f"could not separate late data from the edit: {planned.not_separated}"
            lines += ["", f"{planned.period}: {problem}"]
        if planned.separation is None:
            lines += _examples(planned.period, planned.differences)
        else:
            lines += _examples(f"{planned.period} by late data", planned.separation.late_data)
            lines += _examples(f"{planned.period} by the edit", planned.separation.edit)
    return "\n".join(lines)


def _separations(plan: ChangePlan) -> list[str]:
    """Return a table of the periods where late data and the edit are told apart.

    The published SQL, which tells them apart, is paid in the row of the late data.
    """
    lines = [
        "",
        "| period | by | added | removed | changed | in columns | scanned bytes | USD |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    header_lines = len(lines)
    for planned in plan.periods:
        separation = planned.separation
        if separation is None:
            continue
        cost = ["", ""]
        if separation.scanned_bytes:  # the published SQL was run
            cost = _cost(separation.scanned_bytes, separation.price_usd)
        counts = _counts(separation.late_data)
        lines.append(_table_row([planned.period, "late data", *counts, *cost]))
        counts = _counts(separation.edit)
        lines.append(_table_row([planned.period, "the edit", *counts, "", ""]))
    if len(lines) == header_lines:
        return []
    return lines


def _examples(about: str, differences: Differences) -> list[str]:
    if not differences.examples:
        return []
    lines = ["", f"{about}, for example:", ""]
    for change in differences.examples:
        example = _described(change, differences.key)
        lines.append(f"- {example}")
    return lines


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(differences: Differences) -> list[str]:
    return [
        str(differences.added),
        str(differences.removed),
        str(differences.changed),
        _changed_columns(differences),
    ]


def _cost(scanned_bytes: int, price_usd: float | None) -> list[str]:
    price = "" if price_usd is None else f"{price_usd:.5f}"
    return [str(scanned_bytes), price]


def _changed_columns(differences: Differences) -> str:
    """Return the columns with other values (in so many rows), and those new, removed or retyped."""
    columns = [f"{name} ({rows})" for name, rows in differences.columns.items()]
    columns += [f"+{name}" for name in differences.columns_added]
    columns += [f"-{name}" for name in differences.columns_removed]
    for name, types in differences.columns_retyped.items():
        old_type, new_type = types
        columns.append(f"{name}: {old_type} to {new_type}")
    return ", ".join(columns)


def _described(change: Change, key: Sequence[str]) -> str:
    """Return one change as text: the key of the row, and the values that changed.

    Without a key the row is named by all of its values.
    """
    values = []
    for place, value in enumerate(change.key):
        text = _shown(value)
        if key:
            text = f"{key[place]} {text}"
        values.append(text)
    parts = [f"{change.kind}: {', '.join(values)}"]
    for name, old_and_new in change.columns.items():
        old_value, new_value = old_and_new
        parts.append(f"{name} {_shown(old_value)} → {_shown(new_value)}")
    return "; ".join(parts)


def _shown(value: Value) -> str:
    """Return a value as text. Only NULL is `NULL`; the text of these letters has quotes."""
    if value is None:
        return "NULL"
    if value == "NULL":
        return "'NULL'"
    return value
