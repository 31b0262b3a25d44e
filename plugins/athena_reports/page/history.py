"""The history of the first entries of a period: their measures in it and in those before."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from athena_reports.errors import AthenaReportsError
from athena_reports.page.published_reports import (
    ColumnRoles,
    EntryName,
    PublishedReports,
    TextValues,
    names_of_entries,
)
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import periods_among
from athena_reports.publication.manifest import Manifest

HISTORY_PERIODS = 12
HISTORY_ENTRIES = 5
# Of all viewers, and apart from those of the coverage: each period may take a download of tens of
# megabytes, and with the same threads everybody's coverage would wait for one viewer's history.
_THREADS = ThreadPoolExecutor(2, "athena-reports-history")
_NO_KEY = (
    "No history: the report has no key. Declare the columns that identify a row, such as "
    'Report(key=["user_id"]). Periods published after that will have a history.'
)


@dataclass(frozen=True)
class History:
    """The measures of entries in periods, earliest first, or a note why there are none."""

    periods: Sequence[str] = ()
    names: Sequence[EntryName] = ()
    columns: Sequence[str] = ()
    # The values of these columns, of each entry in each period; None where it has no entry.
    measures: Sequence[Sequence[TextValues | None]] = ()
    problems: Sequence[str] = ()
    note: str = ""


class _PeriodMeasures(NamedTuple):
    """The measures of entries in one period, by key, or why it cannot be read."""

    by_key: Mapping[TextValues, TextValues]
    problem: str = ""


def find_history(reports: PublishedReports, dag: ReportDag, period_id: str) -> History:
    """Return the history of the first entries of a period.

    The key of the period identifies an entry. Without a key, the only row of a period is an entry.
    """
    manifest = reports.manifest(dag, period_id)
    roles = ColumnRoles.of(manifest)
    if not roles.measures:
        return History()
    if not manifest.key and manifest.rows != 1:
        return History(note=_NO_KEY)

    names = _names_by_key(reports, dag, manifest, roles)
    period_ids = _period_ids(reports, dag, period_id)
    read = partial(
        _period_measures, reports, dag, key=manifest.key, keys=list(names), measures=roles.measures
    )
    periods = list(_THREADS.map(read, period_ids))
    return History(
        periods=period_ids,
        columns=roles.measures,
        names=list(names.values()),
        measures=[[period.by_key.get(key) for period in periods] for key in names],
        problems=[period.problem for period in periods if period.problem],
    )


def _names_by_key(
    reports: PublishedReports, dag: ReportDag, manifest: Manifest, roles: ColumnRoles
) -> dict[TextValues, EntryName]:
    """Return the names of the first entries of a period, by their keys.

    The only row without a key has the name of the report.
    """
    if not manifest.key:
        return {(): (dag.report,)}
    columns = [*roles.key, *roles.labels]
    rows = reports.rows(dag, manifest, columns)[:HISTORY_ENTRIES]
    keys = [row[: len(roles.key)] for row in rows]
    return dict(zip(keys, names_of_entries(rows, columns, roles), strict=True))


def _period_ids(reports: PublishedReports, dag: ReportDag, last_id: str) -> list[str]:
    """Return the last published periods up to one, earliest first."""
    periods = periods_among(dag.cadence, reports.published_periods(dag.dag_id))
    earlier_ids = sorted(period.id for period in periods if period.id < last_id)
    return [*earlier_ids[-(HISTORY_PERIODS - 1) :], last_id]


def _period_measures(
    reports: PublishedReports,
    dag: ReportDag,
    period_id: str,
    *,
    key: Sequence[str],
    keys: Sequence[TextValues],
    measures: Sequence[str],
) -> _PeriodMeasures:
    try:
        manifest = reports.manifest(dag, period_id)
        if not key and manifest.rows != 1:
            return _PeriodMeasures({})
        return _PeriodMeasures(reports.entries(dag, manifest, key, keys, measures))
    except AthenaReportsError as error:
        return _PeriodMeasures({}, problem=str(error))
