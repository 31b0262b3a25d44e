"""What an edited report would change.

Its last published periods are queried again, and compared with what is published. The data may have
changed too since then, as by events that landed late.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import CalendarError, conflict_in_folder
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.differences import Change, Differences, Value, find_differences
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.text_templates import text_templates
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
    published = sorted(declared.published_periods(aws.glue))
    if not published:
        raise PlanError(
            f"No period of {declared.dag.dag_id} ({declared.cadence.description}) is published"
            " in Glue, so there is nothing to compare with."
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
                    f" row key from {', '.join(columns)}."
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
    columns that identify rows, by default the key of the report. `show_progress` is called before
    each query.
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
        location = declared.location.period_folder(period.id)
        aws.s3.download(location.uri(manifest.parquet_key), published)
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


def _published(declared: DeclaredReport, period: Period, aws: Aws) -> Manifest:
    """Return the manifest of a published period; PlanError if it has no Parquet."""
    location = declared.location.period_folder(period.id)
    manifest, _ = read_manifest(location, aws.s3)
    if manifest is None or not manifest.parquet_key:
        raise PlanError(
            f"{location.manifest_uri} has no Parquet to compare with. Publish the period again."
        )
    return manifest


def markdown(plan: ChangePlan) -> str:
    """Return a plan as Markdown, for a pull request: the template `templates/plan.md.jinja`."""
    document = (
        text_templates()
        .get_template("plan.md.jinja")
        .render(
            plan=plan,
            periods=counted(len(plan.periods), "period"),
            columns=_columns,
            described=_described,
        )
    )
    return document.rstrip("\n")


def show(plan: ChangePlan, console: Console) -> None:
    """Print a plan as Markdown."""
    console.print(Text(markdown(plan)), soft_wrap=True)


def _columns(differences: Differences) -> str:
    """Return the columns with other values, and those that are new, removed or retyped."""
    columns = [f"{name} ({rows})" for name, rows in differences.columns.items()]
    columns += [f"+{name}" for name in differences.columns_added]
    columns += [f"-{name}" for name in differences.columns_removed]
    for name, (old_type, new_type) in differences.columns_retyped.items():
        columns.append(f"{name}: {old_type} to {new_type}")
    return ", ".join(columns)


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
