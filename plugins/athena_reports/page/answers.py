"""The answers of the page's endpoints.

The JavaScript of the page reads their fields, and those of the models in them. An answer is a plain
dataclass, since the coverage has thousands of periods, and a model would inspect each value.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import NamedTuple, Self

from pydantic_core import to_json

from athena_reports.delivery.receipt import Receipt
from athena_reports.page.coverage import Cell, Run, State
from athena_reports.page.deliveries import ClearRequest, DeliveringTask
from athena_reports.page.published_reports import ColumnRoles, TextValues
from athena_reports.publication.manifest import Manifest

_NO_RUN = Run(run_id="", state="")


class PeriodRow(NamedTuple):
    """What the page shows of a period among others.

    It is sent as an array, since there are thousands. The page has the names of the fields from
    the same response. Those after `waits` are of a published period, as its partition has them.
    """

    id: str
    days: int
    states: Sequence[State]
    run_id: str
    waits: str
    version: str | None = None
    rows: int | None = None
    bytes: int | None = None
    published_at: str | None = None
    earlier: int | None = None
    scanned_bytes: int | None = None
    price_usd: float | None = None
    broken: str | None = None

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return the row of a period."""
        period = cell.period
        run = cell.run or _NO_RUN
        row = cls(
            id=period.id,
            days=(period.last_date - period.first_date).days + 1,
            states=cell.states,
            run_id=run.run_id,
            waits=run.waits,
        )
        published = cell.published
        if published is None:
            return row
        return row._replace(
            run_id=run.run_id or published.run.run_id,
            version=published.version,
            rows=published.rows,
            bytes=published.bytes,
            published_at=published.published_at,
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
    in place of the states. Whether its DAG is paused comes with its periods.
    """

    dag_id: str
    report: str
    cadence: str
    noun: str
    description: str
    since: date
    until: date | None
    may_run: bool
    note: str


@dataclass(frozen=True)
class ReportRow:
    """The periods of a report from a date on."""

    dag_id: str
    is_paused: bool
    problems: Sequence[str]
    cells: Sequence[PeriodRow]


@dataclass(frozen=True)
class CoverageAnswer:
    """The rows that have changed: each is a `ReportRow` as JSON, by the digest of that text.

    The page sends the digests that it has with its next request. `fields` names what the array of a
    period has.
    """

    rows: Mapping[str, bytes]
    fields: Sequence[str] = PeriodRow._fields

    @classmethod
    def of(cls, rows: Iterable[ReportRow], known: Collection[str]) -> Self:
        """Return the answer without the rows whose digests are known."""
        changed = {}
        for row in rows:
            text = to_json(row)
            digest = sha256(text).hexdigest()[:16]
            if digest not in known:
                changed[digest] = text
        return cls(changed)


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
