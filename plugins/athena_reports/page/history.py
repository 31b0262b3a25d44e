"""The history of the first entries of a period: their measures in it and in those before."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.page.published_reports import (
    CALLS_AT_ONCE,
    ColumnRoles,
    PublishedReports,
    TextValues,
    names_of_entries,
)
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import periods_among
from athena_reports.publication.manifest import Manifest

HISTORY_PERIODS = 12
HISTORY_ENTRIES = 5
_NO_KEY = (
    "No history: the report has no key. Declare the columns that identify a row, such as "
    'Report(key=["user_id"]). Periods published from then on have a history.'
)


class Entry(BaseModel, frozen=True):
    """What is followed through the periods: the values of its key, and its name for each."""

    key: TextValues
    name: tuple[str, ...]


class History(BaseModel, frozen=True):
    """The measures of entries in periods, earliest first, or a note why there are none."""

    periods: Sequence[str] = ()
    entries: Sequence[Entry] = ()
    values: Mapping[str, Sequence[TextValues]] = {}  # by measure; of each entry in each period
    problems: Sequence[str] = ()
    note: str = ""


class _PeriodMeasures(NamedTuple):
    """The measures of entries in one period, by key, or why it cannot be read."""

    by_key: Mapping[TextValues, TextValues]
    problem: str = ""


def find_history(reports: PublishedReports, dag: ReportDag, period_id: str) -> History:
    """Return the history of the first entries of a period.

    An entry is what the key of the period tells apart. Without a key, the only row of a period is
    an entry.
    """
    manifest = reports.manifest(dag, period_id)
    roles = ColumnRoles.of(manifest)
    measures = roles.measures
    if not measures:
        return History()
    key = manifest.key
    if not key and manifest.rows != 1:
        return History(note=_NO_KEY)

    entries = _first_entries(reports, dag, manifest, roles)
    keys = list(entries)
    period_ids = _period_ids(reports, dag, period_id)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        futures = []
        for listed_id in period_ids:
            future = threads.submit(_period_measures, reports, dag, listed_id, key, keys, measures)
            futures.append(future)
        measures_of_periods = [future.result() for future in futures]

    unknown = (None,) * len(measures)  # of an entry that a period does not have
    values: dict[str, list[TextValues]] = {}
    for place, measure in enumerate(measures):
        values[measure] = []
        for entry_key in keys:
            values_of_entry = []
            for period_measures in measures_of_periods:
                measures_of_entry = period_measures.by_key.get(entry_key, unknown)
                values_of_entry.append(measures_of_entry[place])
            values[measure].append(tuple(values_of_entry))
    problems = [measured.problem for measured in measures_of_periods if measured.problem]
    return History(
        periods=period_ids,
        entries=list(entries.values()),
        values=values,
        problems=problems,
    )


def _first_entries(
    reports: PublishedReports,
    dag: ReportDag,
    manifest: Manifest,
    roles: ColumnRoles,
) -> dict[TextValues, Entry]:
    """Return the first entries of a period, by their keys.

    The only row without a key has the name of the report.
    """
    if not manifest.key:
        return {(): Entry(key=(), name=(dag.report,))}
    rows = reports.rows(dag, manifest, [*roles.key, *roles.labels])[:HISTORY_ENTRIES]
    keys = [row[: len(roles.key)] for row in rows]
    labels = [row[len(roles.key) :] for row in rows]
    names = names_of_entries(keys, labels)
    entries: dict[TextValues, Entry] = {}
    for key, name in zip(keys, names, strict=True):
        entries[key] = Entry(key=key, name=name)
    return entries


def _period_ids(reports: PublishedReports, dag: ReportDag, last_id: str) -> list[str]:
    """Return the last published periods up to one, earliest first."""
    periods = periods_among(dag.cadence, reports.published_periods(dag.dag_id))
    earlier_ids = sorted(period.id for period in periods if period.id < last_id)
    return [*earlier_ids[-(HISTORY_PERIODS - 1) :], last_id]


def _period_measures(
    reports: PublishedReports,
    dag: ReportDag,
    period_id: str,
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
