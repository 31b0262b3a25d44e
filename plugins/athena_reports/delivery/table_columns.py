"""Which columns a table shows that has no room for all of them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.rows.columns import is_number

_MOST_MEASURES = 4
_MOST_NARROW = 4


class TableColumns(NamedTuple):
    """Names of columns, in the order in which they are shown.

    Attributes:
        shown: The columns of the table.
        narrow: Those of them that a phone has room for.
    """

    shown: Sequence[str]
    narrow: Sequence[str]

    @classmethod
    def of(cls, channel: MailChannel, content: Content) -> Self:
        """Return the columns that a channel shows: those that its author has chosen, if any.

        Raises:
            DeliveryError: The rows have no such column.
        """
        if not channel.columns:
            return cls.usual(content)
        spelt = {column.name.lower(): column.name for column in content.columns}
        for name in channel.columns:
            if name.lower() not in spelt:
                raise DeliveryError(
                    f"columns=: the rows have no column {name!r}. Choose among"
                    f" {', '.join(spelt.values())}."
                )
        shown = [spelt[name.lower()] for name in channel.columns]
        return cls(shown, shown[:_MOST_NARROW])

    @classmethod
    def usual(cls, content: Content) -> Self:
        """Return rank, key with its name, some measures, and movement; all columns without any."""
        names = [column.name for column in content.columns]
        rank, previous_rank, movement = "rank", "previous_rank", "movement"
        if content.movement is not None:
            rank = content.movement.rank
            previous_rank = content.movement.previous_rank
            movement = content.movement.into
        not_entries = (rank, previous_rank, movement)
        key = [name for name in content.key if name not in not_entries]
        if not key:
            texts = [column.name for column in content.columns if column.type == "VARCHAR"]
            key = [name for name in texts if name not in not_entries][:1]
        labels = [label_of(name, names) for name in key]
        numbers = [column.name for column in content.columns if is_number(column.type)]
        measures = [name for name in numbers if name not in (*not_entries, *key)]
        if content.bar in measures:  # it is shown in any case
            measures.remove(content.bar)
            measures.insert(0, content.bar)
        measures = measures[:_MOST_MEASURES]
        shown = {rank, *key, *labels, *measures, movement}
        narrow = {rank, *labels, *measures[:1], movement}
        if shown.isdisjoint(names):
            return cls(names, names[:_MOST_NARROW])
        return cls(_among(names, shown), _among(names, narrow))


def _among(names: Sequence[str], chosen: Collection[str]) -> list[str]:
    return [name for name in names if name in chosen]


def label_of(column: str, names: Sequence[str]) -> str:
    """Return the column that has the names of what a column identifies; else the column itself.

    It is `user_name` for `user_id`, and `carrier_name` for `carrier`.

    Args:
        column: The column that identifies something.
        names: The columns to choose from.
    """
    for name in (f"{column.removesuffix('_id')}_name", f"{column}_name"):
        if name in names:
            return name
    return column
