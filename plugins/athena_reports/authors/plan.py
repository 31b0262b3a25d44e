"""What an edited report would change.

Its last published periods are made anew, and compared with what is published.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.trial import Aws, trial
from athena_reports.aws.s3 import split_uri
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.publication.published_calendar import CalendarError
from athena_reports.rows.checks import failures
from athena_reports.rows.differences import Change, Differences, Value, find_differences
from athena_reports.settings import settings


class PlanError(AthenaReportsError):
    """There is nothing to compare with."""


class PlannedPeriod(BaseModel, frozen=True):
    """A period as it is published, and as it would be."""

    period: str
    rows: int
    differences: Differences
    failed: str  # the checks that would forbid to publish it; empty if none would
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
        """The ids of the periods that would change, and that no check forbids to publish."""
        return [
            planned.period
            for planned in self.periods
            if not planned.differences.is_empty and not planned.failed
        ]


def published_before(declared: DeclaredReport, number: int, aws: Aws) -> list[Period]:
    """Return the last published periods of a report, oldest first; PlanError if there is none."""
    published: list[Period] = []
    if declared.database:
        table = Table(declared.database, declared.location, aws.glue)
        published = sorted(table.periods_of(declared.cadence))
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
                about = f"{declared.dag.dag_id}, period {period.id}"
                raise PlanError(
                    f"{about} has no column {name!r}. Choose a key among {', '.join(columns)}."
                )


def make_plan(
    declared: DeclaredReport,
    periods: Sequence[Period],
    key: Sequence[str],
    aws: Aws,
    show_progress: Callable[[str], None],
) -> ChangePlan:
    """Pay the query of each period, and compare its rows with the published ones.

    Nothing is published. What Athena wrote is removed. What an interrupted plan leaves expires with
    the other query results.

    Args:
        declared: The report, as it is edited.
        periods: Published periods.
        key: The columns that tell rows apart; empty for those that the report declares as unique.
        aws: The services.
        show_progress: Is called with a line of text before each query.

    Raises:
        QueryFailedError: A query does not succeed.
        AthenaReportsError: What is published or queried cannot be read, or a transform fails.
    """
    planned = []
    for period in periods:
        show_progress(f"{declared.dag.dag_id} {period.id}")
        planned.append(_planned(declared, period, key, aws))
    return ChangePlan(dag_id=declared.dag.dag_id, periods=tuple(planned))


def _planned(
    declared: DeclaredReport, period: Period, key: Sequence[str], aws: Aws
) -> PlannedPeriod:
    location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
    manifest = _published(declared, period, aws)
    with trial(declared, period, aws) as done:
        published = done.engine.folder / "published.parquet"
        aws.s3.download(location.uri(manifest.parquet_key), published)
        differences = find_differences(
            old=published,
            new=done.table.path,
            old_columns=manifest.columns,
            new_columns=done.table.columns,
            key=key or declared.key,
            engine=done.engine,
        )
        _remove_result(done.execution.output_location, aws)
        return PlannedPeriod(
            period=period.id,
            rows=done.table.rows,
            differences=differences,
            failed=failures(done.checks),
            scanned_bytes=done.execution.scanned_bytes,
            price_usd=done.execution.price_usd,
        )


def _published(declared: DeclaredReport, period: Period, aws: Aws) -> Manifest:
    location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
    manifest, _ = read_manifest(location, aws.s3)
    if manifest is None or not manifest.parquet_key:
        raise PlanError(
            f"{location.manifest_uri} names no Parquet to compare with. Publish the period again."
        )
    return manifest


def _remove_result(uri: str, aws: Aws) -> None:
    _, object_key = split_uri(uri)
    # A managed result is not an object.
    if object_key:
        aws.s3.delete([uri, f"{uri}.metadata"])


def markdown(plan: ChangePlan) -> str:
    """Return a plan as Markdown, for a pull request."""
    lines = [
        f"### {plan.dag_id}: {len(plan.changed)} of {len(plan.periods)} periods change",
        "",
        "| period | rows | added | removed | changed | in columns | scanned bytes | USD |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    lines += map(_table_row, plan.periods)
    for planned in plan.periods:
        if planned.failed:
            lines += ["", f"{planned.period} would not be published. {planned.failed}"]
        if planned.differences.examples:
            lines += ["", f"{planned.period}, for example:", ""]
        for change in planned.differences.examples:
            example = _described(change, planned.differences.key)
            lines.append(f"- {example}")
    return "\n".join(lines)


def _table_row(planned: PlannedPeriod) -> str:
    differences = planned.differences
    price = "" if planned.price_usd is None else f"{planned.price_usd:.5f}"
    cells = [
        planned.period,
        str(planned.rows),
        str(differences.added),
        str(differences.removed),
        str(differences.changed),
        _changed_columns(differences),
        str(planned.scanned_bytes),
        price,
    ]
    return f"| {' | '.join(cells)} |"


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
