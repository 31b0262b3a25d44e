"""Which columns a table shows that has no room for all of them."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.content import Content, measures_of, rank_columns, row_key
from athena_reports.delivery.errors import DeliveryError
from athena_reports.rows.columns import resolve_names

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
        shown = resolve_names(channel.columns, content.columns)
        if not shown:
            missing = [
                name for name in channel.columns if not resolve_names([name], content.columns)
            ]
            raise DeliveryError(
                f"columns: the rows do not have {', '.join(missing)}. Use columns of"
                f" {', '.join(content.column_names)}."
            )
        return cls(shown, shown[:_MOST_NARROW])

    @classmethod
    def usual(cls, content: Content) -> Self:
        """Return rank, key with its name, some measures, and movement; all columns without any."""
        names = content.column_names
        rank, _, movement = rank_columns(content.movement)
        key = row_key(content)
        labels = [label_of(name, names) for name in key]
        measures = measures_of(content)[:_MOST_MEASURES]
        shown = {rank, *key, *labels, *measures, movement}
        narrow = {rank, *labels, *measures[:1], movement}
        if shown.isdisjoint(names):
            return cls(names, names[:_MOST_NARROW])
        return cls(
            [name for name in names if name in shown], [name for name in names if name in narrow]
        )


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
