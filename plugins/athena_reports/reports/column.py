"""A column that a report promises: its type, what it means, and its unit."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

import pydantic
from pydantic import AfterValidator, model_validator

from athena_reports.declaration import CONFIG, Declaration
from athena_reports.rows.columns import glue_name, refuse_duplicates

_GLUE_BYTES = 255  # of a name, and of a comment
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Column(Declaration):
    """A column that a report promises.

    Attributes:
        type: Its type as Athena or Glue calls it, such as `bigint`, `varchar`, `decimal(10,2)` or
            `array<string>`.
        description: What it means, in one line.
        unit: What it is counted in, such as `points` or `USD`; empty for none.
        private: Whether its values stay in S3. No delivery and no alert has them.
    """

    type: Annotated[str, AfterValidator(glue_name)]
    description: str
    unit: str = ""
    private: bool = False

    @model_validator(mode="after")
    def _require_comment(self) -> Self:
        if not self.description.strip() or not _fits_glue(self.comment):
            self.refuse(
                "description", "describe it in one line of at most 255 bytes, including its unit."
            )
        return self

    @property
    def comment(self) -> str:
        """What the published table says of it."""
        return f"{self.description} ({self.unit})" if self.unit else self.description


def private_names(columns: Mapping[str, Column]) -> frozenset[str]:
    """Return the names of private columns, in lower case: DuckDB and Glue take any case."""
    return frozenset(name.lower() for name, column in columns.items() if column.private)


def validate_names(columns: Mapping[str, Column]) -> Mapping[str, Column]:
    """Return the columns, read-only; ValueError if a table cannot have columns of these names."""
    refuse_duplicates(columns)
    for name in columns:
        if name.lower() in ("", "period") or not _fits_glue(name):
            raise ValueError(
                f"{name!r} is not a valid column name. Use one short line, and not `period`, which"
                " is the partition key."
            )
    return MappingProxyType(columns)


def _fits_glue(text: str) -> bool:
    return not _CONTROL.search(text) and len(text.encode()) <= _GLUE_BYTES
