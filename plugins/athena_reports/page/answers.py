"""The answers of the page's endpoints.

The JavaScript of the page reads their fields, and those of the models in them. An answer is a plain
dataclass, since the coverage has thousands of periods, and a model would inspect each value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, Self

from pydantic import TypeAdapter

from athena_reports.delivery.receipt import Receipt
from athena_reports.page.coverage import Cell, State
from athena_reports.page.deliveries import ClearRequest, DeliveringTask
from athena_reports.page.fill import HeldPeriod, RunRequest
from athena_reports.page.published_reports import ColumnRoles, TextValues
from athena_reports.publication.manifest import Manifest


class PeriodRow(NamedTuple):
    """What the page shows of a period among others.

    It is sent as an array, since there are thousands. The page has the names of the fields from
    the same response. Those after `waits` are of a published period, as its partition has them.
    """

    id: str
    date: str
    days: int
    states: Sequence[State]
    run_id: str
    waits: str
    version: str | None = None
    rows: int | None = None
    bytes: int | None = None
    published_at: str | None = None
    checks_warned: int | None = None
    earlier: int | None = None
    scanned_bytes: int | None = None
    price_usd: float | None = None
    broken: str | None = None

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return the row of a period."""
        period = cell.period
        date = period.first_date.isoformat()
        days = (period.last_date - period.first_date).days + 1
        run_id = cell.run.run_id if cell.run is not None else ""
        waits = cell.run.waits if cell.run is not None else ""
        published = cell.published
        if published is None:
            return cls(
                id=period.id, date=date, days=days, states=cell.states, run_id=run_id, waits=waits
            )
        return cls(
            id=period.id,
            date=date,
            days=days,
            states=cell.states,
            run_id=run_id or published.run.run_id,
            waits=waits,
            version=published.version,
            rows=published.rows,
            bytes=published.bytes,
            published_at=published.published_at,
            checks_warned=published.checks_warned,
            earlier=len(published.earlier_versions),
            scanned_bytes=published.query.scanned_bytes,
            price_usd=published.query.price_usd,
            broken=published.broken,
        )


@dataclass(frozen=True)
class ReportHeading:
    """What the page shows of a report without its periods.

    `since` is the first date of its first period, and `until` the last date of its last one; None
    for a report that goes on. `may_run` is whether the viewer may start its runs. `note` is shown
    in place of the states.
    """

    dag_id: str
    report: str
    cadence: str
    noun: str
    description: str
    since: str
    until: str | None
    is_paused: bool
    may_run: bool
    note: str


@dataclass(frozen=True)
class ReportsAnswer:
    """All reports that the viewer may read."""

    reports: Sequence[ReportHeading]


@dataclass(frozen=True)
class ReportRow:
    """The periods of a report from a date on.

    `digest` is of all else. The page sends it with its next request, and gets the row again only if
    it has changed.
    """

    dag_id: str
    is_paused: bool
    problems: Sequence[str]
    cells: Sequence[PeriodRow]
    digest: str = ""

    def with_digest(self) -> Self:
        """Return the same row with its digest."""
        return replace(self, digest=sha256(to_json(self)).hexdigest()[:16])


@dataclass(frozen=True)
class CoverageAnswer:
    """The rows that have changed; `fields` names what the array of a period has."""

    reports: Sequence[ReportRow]
    fields: Sequence[str] = PeriodRow._fields


@dataclass(frozen=True)
class PlanAnswer:
    """The requests that fill the periods of a range, and what they cost.

    `backfill` has the two instants from which to which a backfill of Airflow takes the same range.
    `scanned_bytes`, `price_usd` and `held` are those of `FillPlan`.
    """

    starts: Sequence[RunRequest]
    backfill: tuple[str, str]
    scanned_bytes: int | None
    price_usd: float | None
    held: Sequence[HeldPeriod]


@dataclass(frozen=True)
class PeriodAnswer:
    """One period.

    `rows` are its first rows, and `names` are those of their entries in the chart. Both are empty
    if the rows cannot be read, and then `problem` says why. `console` is Athena's page of a query,
    up to the query's id; it is empty for none.
    """

    manifest: Manifest
    roles: ColumnRoles
    rows: Sequence[TextValues]
    names: Sequence[Sequence[str]]
    console: str
    problem: str


@dataclass(frozen=True)
class SqlAnswer:
    """The SQL of a version; None if it was not kept, or is gone."""

    sql: str | None


@dataclass(frozen=True)
class ChannelRow:
    """What the page shows of a channel of today's DAG.

    `task` is None if there is no run for the period. `clear` is the request that sends again; None
    if the viewer may not, or if the task is under way.
    """

    name: str
    task: DeliveringTask | None
    clear: ClearRequest | None


@dataclass(frozen=True)
class DeliveriesAnswer:
    """Where the versions of a period went, and what failed.

    `dag_id` is the delivering DAG. `receipts` has the newest first; it is empty if the receipts
    cannot be read, and then `problem` says why.
    """

    dag_id: str
    is_paused: bool
    channels: Sequence[ChannelRow]
    receipts: Sequence[Receipt]
    problem: str


def to_json(answer: object) -> bytes:
    """Return an answer as JSON. Its values are not validated."""
    kind: Any = type(answer)
    return _adapter(kind).dump_json(answer)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
