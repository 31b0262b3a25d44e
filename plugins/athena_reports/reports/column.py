"""A column that a report promises: its type, what it means, and its unit."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pydantic

from athena_reports.inputs.declaration import CONFIG
from athena_reports.rows.columns import glue_name, refuse_duplicates

_GLUE_BYTES = 255  # of a name, and of a comment
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Column:
    """A column that a report promises.

    Attributes:
        type: Its type as Athena or Glue calls it, such as `bigint`, `varchar`, `decimal(10,2)` or
            `array<string>`.
        description: What it means, in one line.
        unit: What it is counted in, such as `points` or `USD`; empty for none.
        private: Whether its values stay in S3. No delivery and no alert has them.
    """

    type: str
    description: str
    unit: str = ""
    private: bool = False

    @property
    def comment(self) -> str:
        """What the published table says of it."""
        if not self.unit:
            return self.description
        return f"{self.description} ({self.unit})"


def as_in_glue(column: Column) -> Column:
    """Return a column with Glue's name of its type.

    Raises:
        ValueError: If Glue does not take its type or its comment.
    """
    is_described = bool(column.description.strip())
    if not is_described or not _fits_glue(column.comment):
        raise ValueError(f"describe it in one line; with its unit Glue takes {_GLUE_BYTES} bytes.")
    return replace(column, type=glue_name(column.type))


def private_names(columns: Mapping[str, Column]) -> frozenset[str]:
    """Return the names of private columns, in lower case: DuckDB and Glue take any case."""
    return frozenset(name.lower() for name, column in columns.items() if column.private)


def named(columns: Mapping[str, Column]) -> Mapping[str, Column]:
    """Return the columns, read-only; ValueError if a table cannot have columns of these names."""
    refuse_duplicates(columns)
    for name in columns:
        is_taken = name.lower() == "period"
        if not name or is_taken or not _fits_glue(name):
            raise ValueError(
                f"{name!r} cannot be a column:"
                " `period` is the partition key, a name is one short line."
            )
    return MappingProxyType(columns)


def _fits_glue(text: str) -> bool:
    """Return whether a text is one line that Glue takes as a name or a comment."""
    return not _CONTROL.search(text) and len(text.encode()) <= _GLUE_BYTES
