"""What is delivered of a version.

Mail, Slack and workbook show the same facts. None of them sees a private column: it is taken out
before a `Content` is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from athena_reports.delivery.language import Number
from athena_reports.periods.calendar import Period
from athena_reports.reports.column import Column
from athena_reports.rows.columns import TableColumn, is_number, resolve_names
from athena_reports.rows.differences import Differences
from athena_reports.rows.transforms import LibraryTransform

Rows = tuple[tuple[Any, ...], ...]
PREVIEW = "preview"  # in the place of a version's id, of what is not published


class ContentColumn(NamedTuple):
    """A column that is shown.

    Attributes:
        name: Its name.
        type: Its type as DuckDB calls it, such as `DECIMAL(10,2)`.
        unit: What it is counted in, such as `points`; empty for none.
    """

    name: str
    type: str
    unit: str = ""


@dataclass(frozen=True)
class Movement:
    """The three columns of `transforms.movement`, and who moved most.

    Attributes:
        rank: The rank in this period.
        previous_rank: The rank in the period before; NULL for a newcomer.
        into: How far the row moved, in words.
        rises: Of all rows of the version, the few that rose most, each as in `Content.rows`.
        falls: Those that fell most.
    """

    rank: str
    previous_rank: str
    into: str
    rises: Rows = ()
    falls: Rows = ()


@dataclass(frozen=True)
class Correction:
    """What differs from the version that this channel had last.

    Attributes:
        sent_at: When the channel got that version, with a time zone.
        differences: What differs in the columns that may be delivered; None if the rows of that
            version are no longer kept.
    """

    sent_at: datetime
    differences: Differences | None

    @property
    def is_empty(self) -> bool:
        """Whether the channel has the same rows already, as far as they may be delivered."""
        return self.differences is not None and self.differences.is_empty


@dataclass(frozen=True)
class Content:
    """All facts of one delivery, without private columns.

    Attributes:
        report: Name of the report.
        environment: Name of the environment.
        period: The period; its cadence has the time zone.
        version: Name of the version.
        published_at: When the version was published, with a time zone.
        settles_at: When the last event of the period has arrived, with a time zone.
        provisional: Whether the query was submitted before that.
        missing_partitions: How many partitions of the inputs were missing.
        warned_checks: Names of the checks that warn. Their messages can hold values, and are not
            shown.
        columns: The columns that are shown, in order.
        rows: The first rows, each with a value for each column, as `published_rows` reads them.
        total_rows: How many rows the version has.
        key: The columns that identify a row, as far as they are shown.
        bar: The column that is shown as bars and whose total is shown; empty for none.
        total: The total of that column; None if there is none or it is not known.
        previous_total: Its total in the period before; None if that is not published or not known.
        previous_rows: The number of rows of the period before; None if it is not published.
        movement: What is known of how rows moved; None without `transforms.movement`.
        correction: What differs from the version that this channel had; None if it had none.
        too_large: Whether the attachment is too large to be sent.
        folder_uri: Where its files are in S3 then, as `s3://...`; empty if the reader may not have
            all columns of them.
        page_url: Address of the Reports page; empty for none.
        query_url: Address of the query in Athena's console; empty for none.
    """

    report: str
    environment: str
    period: Period
    version: str
    published_at: datetime
    settles_at: datetime
    provisional: bool
    missing_partitions: int
    warned_checks: tuple[str, ...]
    columns: tuple[ContentColumn, ...]
    rows: Rows
    total_rows: int
    key: tuple[str, ...] = ()
    bar: str = ""
    total: Number | None = None
    previous_total: Number | None = None
    previous_rows: int | None = None
    movement: Movement | None = None
    correction: Correction | None = None
    too_large: bool = False
    folder_uri: str = ""
    page_url: str = ""
    query_url: str = ""

    @property
    def column_names(self) -> list[str]:
        """The names of its columns, in order."""
        return [column.name for column in self.columns]

    def value(self, row: tuple[Any, ...], name: str) -> Any:
        """Return the value of a row in a column."""
        return row[self.column_names.index(name)]


def shown_columns(
    columns: Sequence[TableColumn],
    declared: Mapping[str, Column],
    private: Collection[str] = (),
) -> tuple[ContentColumn, ...]:
    """Return the columns of a version that may leave S3, in their order.

    A column is left out if it was private when the rows were written, or is private now. If the
    report declares its columns, any other column is left out too: it may have been renamed.

    Args:
        columns: The columns of the version.
        declared: What the report says of its columns, by name; empty if it declares none.
        private: Names of further columns to leave out, in lower case.
    """
    known = {name.lower(): column for name, column in declared.items()}
    shown = []
    for column in columns:
        name = column.name.lower()
        declaration = known.get(name)
        if column.private or name in private:
            continue
        if known and (declaration is None or declaration.private):
            continue
        unit = declaration.unit if declaration is not None else ""
        shown.append(ContentColumn(column.name, column.type, unit))
    return tuple(shown)


def movement_of(
    transforms: Sequence[Callable[..., Any]], columns: Sequence[ContentColumn]
) -> Movement | None:
    """Return the columns that `transforms.movement` reads and adds; None unless all are shown."""
    for transform in transforms:
        if not isinstance(transform, LibraryTransform) or transform.name != "movement":
            continue
        names = resolve_names(list(transform.arguments.values()), columns)
        if names:
            rank, previous_rank, into = names
            return Movement(rank, previous_rank, into)
    return None


def row_key(content: Content) -> Sequence[str]:
    """Return the columns that name a row: the key, or the first column of text; without ranks."""
    ranks = rank_columns(content.movement)
    texts = [column.name for column in content.columns if column.type == "VARCHAR"]
    key = [name for name in content.key if name not in ranks]
    return key or [name for name in texts if name not in ranks][:1]


def rank_columns(movement: Movement | None) -> tuple[str, str, str]:
    """Return the names of rank, previous rank and movement, as far as a report has them."""
    if movement is None:
        return "rank", "previous_rank", "movement"
    return movement.rank, movement.previous_rank, movement.into


def measures_of(content: Content) -> list[str]:
    """Return the columns of numbers without key and ranks; that of the bars comes first."""
    others = {*content.key, *rank_columns(content.movement)}
    numbers = [column.name for column in content.columns if is_number(column.type)]
    measures = [name for name in numbers if name not in others]
    measures.sort(key=lambda name: name != content.bar)  # the others keep their order
    return measures
