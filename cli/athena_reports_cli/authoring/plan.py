"""What an edited report would change.

Its last published periods are queried again, and compared with what is published. The data may have
changed too since then: late data. Where possible, its changes are separated from those of the edit.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import CalendarError, conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.reports.logic_digest import is_same
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
        return [period for period in self.changed if period not in self.failed]

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

    Nothing is published. What Athena wrote expires with the other query results.

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
        comparison = _Comparison(
            request=run_request(declared, period, aws, command="plan"),
            manifest=_published(declared, period, aws),
            key=key or declared.report.row_key,
            aws=aws,
        )
        planned.append(comparison.planned())
    return ChangePlan(dag_id=declared.dag.dag_id, periods=tuple(planned))


@dataclass(frozen=True)
class _Comparison:
    """What is published of a period, beside what would be."""

    request: TrialRequest
    manifest: Manifest
    key: Sequence[str]
    aws: Aws

    def planned(self) -> PlannedPeriod:
        """Run the edited report and compare."""
        manifest = self.manifest
        with trial(self.request, self.aws) as done:
            published = _Rows(done.engine.folder / "published.parquet", manifest.columns)
            self.aws.s3.download(self._location.uri(manifest.parquet_key), published.path)
            edited = _Rows(done.table.path, done.table.columns)
            differences = self._differences(published, edited, done.engine)
            separation = None
            problem = ""
            if not differences.is_empty:
                try:
                    separation = self._separate(published, edited, done.engine)
                # The edited query is paid already, so its plan is shown anyway. And the edit may be
                # what lets the SQL run again.
                except (AthenaReportsError, BotoCoreError, ClientError) as error:
                    problem = str(error)
            return PlannedPeriod(
                period=self.request.period.id,
                version=manifest.version,
                rows=done.table.rows,
                differences=differences,
                failed=why_not_published(self.request.declared, done),
                scanned_bytes=done.execution.scanned_bytes,
                price_usd=done.execution.price_usd,
                separation=separation,
                not_separated=problem,
            )

    def _separate(self, published: "_Rows", edited: "_Rows", engine: Engine) -> Separation:
        """Run the published SQL on today's data, and compare its rows with the other two.

        PlanError if today's transforms are not those of the publication.
        """
        manifest = self.manifest
        report = self.request.declared.report
        if is_same(manifest.logic, report.logic):
            return Separation(
                late_data=self._differences(published, edited, engine),
                edit=self._differences(edited, edited, engine),
            )
        if not is_same(manifest.transforms_logic, report.transforms_logic):
            raise PlanError(
                "the transforms were edited, or their logic is unknown. Set logic_version= on the"
                " report to make it known."
            )
        uri = self._location.sql_uri(manifest.version, manifest.query.sql_sha256)
        content, _ = self.aws.s3.read(uri)
        query = self.request.query.model_copy(update={"query": content.decode()})
        with trial(replace(self.request, query=query), self.aws) as done:
            # The engine that compares can read in its own folder alone.
            path = engine.folder / "published_sql.parquet"
            shutil.copyfile(done.table.path, path)
            published_sql_today = _Rows(path, done.table.columns)
            return Separation(
                late_data=self._differences(published, published_sql_today, engine),
                edit=self._differences(published_sql_today, edited, engine),
                scanned_bytes=done.execution.scanned_bytes,
                price_usd=done.execution.price_usd,
            )

    @property
    def _location(self) -> PeriodLocation:
        return _location(self.request.declared, self.request.period)

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


def _location(declared: DeclaredReport, period: Period) -> PeriodLocation:
    return PeriodLocation.of(settings().report_bucket, declared.report.name, period)


def _published(declared: DeclaredReport, period: Period, aws: Aws) -> Manifest:
    """Return the manifest of a published period; PlanError if it has no Parquet."""
    location = _location(declared, period)
    manifest, _ = read_manifest(location, aws.s3)
    if manifest is None or not manifest.parquet_key:
        raise PlanError(
            f"{location.manifest_uri} has no Parquet to compare with. Publish the period again."
        )
    return manifest


def markdown(plan: ChangePlan) -> str:
    """Return a plan as Markdown, for a pull request."""
    lines = [
        f"### {plan.dag_id}: {len(plan.changed)} of {counted(len(plan.periods), 'period')}"
        " would change",
        "",
        "| period | by | rows | added | removed | changed | in columns | scanned bytes | USD |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for planned in plan.periods:
        counts = _counts(planned.differences)
        cost = _cost(planned.scanned_bytes, planned.price_usd)
        lines.append(_table_row(planned.period, "", str(planned.rows), *counts, *cost))
        separation = planned.separation
        if separation is not None:
            counts = _counts(separation.late_data)
            cost = ["", ""]
            if separation.scanned_bytes:  # the published SQL was run
                cost = _cost(separation.scanned_bytes, separation.price_usd)
            lines.append(_table_row(planned.period, "late data", "", *counts, *cost))
            counts = _counts(separation.edit)
            lines.append(_table_row(planned.period, "the edit", "", *counts, "", ""))
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


def _examples(about: str, differences: Differences) -> list[str]:
    if not differences.examples:
        return []
    examples = [f"- {_described(change, differences.key)}" for change in differences.examples]
    return ["", f"{about}, for example:", "", *examples]


def _table_row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(differences: Differences) -> list[str]:
    """Return how many rows differ, and the columns with other values, new, removed or retyped."""
    columns = [f"{name} ({rows})" for name, rows in differences.columns.items()]
    columns += [f"+{name}" for name in differences.columns_added]
    columns += [f"-{name}" for name in differences.columns_removed]
    for name, (old_type, new_type) in differences.columns_retyped.items():
        columns.append(f"{name}: {old_type} to {new_type}")
    counts = (differences.added, differences.removed, differences.changed)
    return [*map(str, counts), ", ".join(columns)]


def _cost(scanned_bytes: int, price_usd: float | None) -> list[str]:
    price = "" if price_usd is None else f"{price_usd:.5f}"
    return [str(scanned_bytes), price]


def _described(change: Change, key: Sequence[str]) -> str:
    """Return one change as text: the key of the row, and the values that changed.

    Without a key the row is named by all of its values.
    """
    values = [_shown(value) for value in change.key]
    if key:
        values = [f"{name} {value}" for name, value in zip(key, values, strict=True)]
    parts = [f"{change.kind}: {', '.join(values)}"]
    for name, (old_value, new_value) in change.columns.items():
        parts.append(f"{name} {_shown(old_value)} → {_shown(new_value)}")
    return "; ".join(parts)


def _shown(value: Value) -> str:
    """Return a value as text. Only NULL is `NULL`; the text of these letters has quotes."""
    if value is None:
        return "NULL"
    if value == "NULL":
        return "'NULL'"
    return value
