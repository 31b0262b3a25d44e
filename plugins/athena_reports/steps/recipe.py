"""What is made of a query's result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from athena_reports.periods.calendar import Period
from athena_reports.publication.location import PeriodLocation
from athena_reports.reports.column import Column, private_names
from athena_reports.rows.checks import Check
from athena_reports.rows.columns import resolve_names
from athena_reports.rows.formats import Format

if TYPE_CHECKING:
    from athena_reports.publication.manifest import Version


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is made of a query's result.

    Attributes:
        report: Name of the report.
        bucket: The report bucket.
        database: Glue database of the published table; None for no table.
        transforms: Functions from rows to rows, applied in order.
        columns: What the columns mean, by name; they are those of an empty UNLOAD too.
        key: The columns that tell rows apart; empty if none are known to. They imply no check here.
        checks: What must hold of the rows.
        empty: What to do without rows: fail, publish, or skip the period.
        formats: Formats to write, at least one.
        query_logic: Digest of what makes the query today, as `Report.query_logic` gives it. If the
            rows are of another query, an error says so.
        transforms_logic: Digest of the transforms, as `Report.transforms_logic` gives it. Together
            with that of the query that ran, it is the logic of the version.
    """

    report: str
    bucket: str
    database: str | None = None
    transforms: Sequence[Callable[[Any, Period], Any]] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    key: Sequence[str] = ()
    checks: Sequence[Check] = ()
    empty: Literal["fail", "publish", "skip"] = "fail"
    formats: Sequence[Format] = ("parquet", "csv")
    query_logic: str = ""
    transforms_logic: str = ""

    def location(self, period: Period) -> PeriodLocation:
        """Return where a period is published."""
        return PeriodLocation.of(self.bucket, self.report, period)

    def described(self, version: "Version") -> "Version":
        """Return a version with what the report declares: its key, and what its columns mean.

        It has no key if the rows lack a column of it, which a check that only warns lets pass.
        """
        private = private_names(self.columns)
        columns = []
        for column in version.columns:
            update: dict[str, Any] = {"private": column.name.lower() in private}
            if column.name in self.columns:
                update["description"] = self.columns[column.name].comment
            columns.append(column.model_copy(update=update))
        key = resolve_names(self.key, version.columns)
        return version.model_copy(update={"columns": tuple(columns), "key": key})
