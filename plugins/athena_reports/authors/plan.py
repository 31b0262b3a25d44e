"""What an edited report would change: its last published periods made anew, and compared with what is published."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.trial import Aws, trial
from athena_reports.aws.s3 import split_uri
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.checks import failures
from athena_reports.rows.differences import Change, Differences, find_differences
from athena_reports.settings import settings


class PlanError(AthenaReportsError):
    """There is nothing to compare with."""


class PlannedPeriod(BaseModel, frozen=True):
    """A period as it is published and as it would be; `failed` names the checks that would forbid to publish it."""

    period: str
    rows: int
    differences: Differences
    failed: str
    scanned_bytes: int
    price_usd: float | None


class ChangePlan(BaseModel, frozen=True):
    """What changes in the last published periods of a report, oldest first."""

    dag_id: str
    periods: tuple[PlannedPeriod, ...]

    @property
    def changed(self) -> list[str]:
        """The ids of the periods that would change."""
        return [each.period for each in self.periods if not each.differences.is_empty]

    @property
    def restatable(self) -> list[str]:
        """The ids of the periods that would change, and that no check forbids to publish."""
        return [each.period for each in self.periods if not each.differences.is_empty and not each.failed]


def published_before(declared: DeclaredReport, number: int, aws: Aws) -> list[Period]:
    """Return the last published periods of a report, oldest first; PlanError if there is none."""
    database = declared.database
    published = Table(database, declared.location, aws.glue).periods_of(declared.cadence) if database else {}
    if not published:
        raise PlanError(
            f"No period of {declared.dag.dag_id} ({declared.cadence.description}) is published in Glue, "
            "so there is nothing to compare with."
        )
    return sorted(published)[-number:]


def check_comparable(declared: DeclaredReport, periods: Sequence[Period], key: Sequence[str], aws: Aws) -> None:
    """Look for what the periods are compared with, before anything is paid.

    PlanError if a period has no Parquet, or is published without a column of the key.
    """
    for period in periods:
        columns = [column.name for column in _published(declared, period, aws).columns]
        for name in key:
            if name not in columns:
                about = f"{declared.dag.dag_id}, period {period.id}"
                raise PlanError(f"{about} has no column {name!r}. Choose a key among {', '.join(columns)}.")


def make_plan(
    declared: DeclaredReport, periods: Sequence[Period], key: Sequence[str], aws: Aws, tell: Callable[[str], None]
) -> ChangePlan:
    """Pay the query of each period, and compare its rows with the published ones, here: nothing is published.

    What Athena wrote for it is removed; what an interrupted plan leaves goes with the other query results.
    """
    done = []
    for period in periods:
        tell(f"{declared.dag.dag_id} {period.id}")
        done.append(_planned(declared, period, key, aws))
    return ChangePlan(dag_id=declared.dag.dag_id, periods=tuple(done))


def _planned(declared: DeclaredReport, period: Period, key: Sequence[str], aws: Aws) -> PlannedPeriod:
    location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
    manifest = _published(declared, period, aws)
    with trial(declared, period, aws) as made:
        published = made.engine.folder / "published.parquet"
        aws.s3.download(location.uri(manifest.parquet_key), published)
        columns = (manifest.columns, made.table.columns)
        differences = find_differences(published, made.table.path, *columns, key or declared.key, made.engine)
        _remove_result(made.execution.output_location, aws)
        return PlannedPeriod(
            period=period.id,
            rows=made.table.rows,
            differences=differences,
            failed=failures(made.checks),
            scanned_bytes=made.execution.scanned_bytes,
            price_usd=made.execution.price_usd,
        )


def _published(declared: DeclaredReport, period: Period, aws: Aws) -> Manifest:
    location = PeriodLocation.of(settings().report_bucket, declared.report.name, period)
    manifest, _ = read_manifest(location, aws.s3)
    if manifest is None or not manifest.parquet_key:
        raise PlanError(f"{location.manifest_uri} names no Parquet to compare with. Publish the period again.")
    return manifest


def _remove_result(uri: str, aws: Aws) -> None:
    if split_uri(uri)[1]:
        aws.s3.delete([uri, f"{uri}.metadata"])


def markdown(plan: ChangePlan) -> str:
    """Return a plan as Markdown, for a pull request."""
    lines = [f"### {plan.dag_id}: {len(plan.changed)} of {len(plan.periods)} periods change", ""]
    lines += ["| period | rows | added | removed | changed | in columns | scanned bytes | USD |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |", *map(_line, plan.periods)]
    for each in plan.periods:
        lines += ["", f"{each.period} would not be published. {each.failed}"] if each.failed else []
        lines += ["", f"{each.period}, for example:", ""] if each.differences.examples else []
        lines += [f"- {_said(change, each.differences.key)}" for change in each.differences.examples]
    return "\n".join(lines)


def _line(planned: PlannedPeriod) -> str:
    found = planned.differences
    where = [f"{name} ({count})" for name, count in found.columns.items()]
    where += [f"+{name}" for name in found.columns_added] + [f"-{name}" for name in found.columns_removed]
    where += [f"{name}: {old} to {new}" for name, (old, new) in found.columns_retyped.items()]
    price = "" if planned.price_usd is None else f"{planned.price_usd:.5f}"
    counts = [planned.rows, found.added, found.removed, found.changed, ", ".join(where)]
    return f"| {' | '.join(map(str, [planned.period, *counts, planned.scanned_bytes, price]))} |"


def _said(change: Change, key: Sequence[str]) -> str:
    values = ["NULL" if value is None else value for value in change.key]
    named = ", ".join(f"{name} {value}" for name, value in zip(key, values, strict=True)) if key else ", ".join(values)
    pairs = (f"{name} {old} → {new}" for name, (old, new) in change.columns.items())
    return f"{change.kind}: {named}" + "".join(f"; {pair}" for pair in pairs)
