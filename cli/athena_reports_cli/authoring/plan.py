"""What an edited report would change.

Its last published periods are queried again, and compared with what is published. The data may have
changed too since then, as by events that landed late.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import CalendarError, conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.differences import Change, Differences, Value, find_differences
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws, run_request, trial, why_not_published
from athena_reports_cli.local.words import counted


class PlanError(AthenaReportsError):
    """There is nothing to compare with."""


class PlannedPeriod(BaseModel, frozen=True):
    """A period as it is published, and as it would be."""

    period: str
    version: str  # the published version that it is compared with
    rows: int
    differences: Differences
    failed: str  # why it would not be published, such as a failed check; empty if it would
    scanned_bytes: int
    price_usd: float | None


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


def make_plan(
    declared: DeclaredReport,
    periods: Sequence[Period],
    key: Sequence[str],
    aws: Aws,
    show_progress: Callable[[str], None],
) -> ChangePlan:
    """Pay the query of each published period, and compare its rows with the published ones.

    Nothing is published. What Athena wrote expires with the other query results. `key` are the
    columns that tell rows apart, by default the key of the report. `show_progress` is called before
    each query.

    Raises:
        QueryFailedError: The query of a period does not succeed.
        AthenaReportsError: What is published or queried cannot be read, or a transform fails.
    """
    planned = []
    for period in periods:
        show_progress(f"{declared.dag.dag_id} {period.id}")
        planned.append(_plan_period(declared, period, key or declared.report.row_key, aws))
    return ChangePlan(dag_id=declared.dag.dag_id, periods=tuple(planned))


def _plan_period(
    declared: DeclaredReport, period: Period, key: Sequence[str], aws: Aws
) -> PlannedPeriod:
    """Run the edited report, and compare its rows with the published ones."""
    manifest = _published(declared, period, aws)
    with trial(run_request(declared, period, aws, command="plan"), aws) as done:
        published = done.engine.folder / "published.parquet"
        aws.s3.download(_location(declared, period).uri(manifest.parquet_key), published)
        differences = find_differences(
            old=published,
            new=done.table.path,
            old_columns=manifest.columns,
            new_columns=done.table.columns,
            key=key,
            engine=done.engine,
        )
        return PlannedPeriod(
            period=period.id,
            version=manifest.version,
            rows=done.table.rows,
            differences=differences,
            failed=why_not_published(declared, done),
            scanned_bytes=done.execution.scanned_bytes,
            price_usd=done.execution.price_usd,
        )


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
        "| period | rows | added | removed | changed | in columns | scanned bytes | USD |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for planned in plan.periods:
        price = "" if planned.price_usd is None else f"{planned.price_usd:.5f}"
        counts = _counts(planned.differences)
        cells = [planned.period, str(planned.rows), *counts, str(planned.scanned_bytes), price]
        lines.append(f"| {' | '.join(cells)} |")
    for planned in plan.periods:
        if planned.failed:
            lines += ["", f"{planned.period} would not be published. {planned.failed}"]
        if planned.differences.examples:
            lines += ["", f"{planned.period}, for example:", ""]
        for change in planned.differences.examples:
            lines.append(f"- {_described(change, planned.differences.key)}")
    return "\n".join(lines)


def _counts(differences: Differences) -> list[str]:
    """Return how many rows differ, and the columns with other values, new, removed or retyped."""
    columns = [f"{name} ({rows})" for name, rows in differences.columns.items()]
    columns += [f"+{name}" for name in differences.columns_added]
    columns += [f"-{name}" for name in differences.columns_removed]
    for name, (old_type, new_type) in differences.columns_retyped.items():
        columns.append(f"{name}: {old_type} to {new_type}")
    counts = (differences.added, differences.removed, differences.changed)
    return [*map(str, counts), ", ".join(columns)]


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
