"""What a period needs of an input, in the form in which a waiting task keeps it."""

from collections.abc import Hashable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Tag

from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published
from athena_reports.periods.calendar import Period


def _kind(source: Any) -> str:
    names = source if isinstance(source, Mapping) else vars(source)
    return "report" if "report" in names else "table"


_Table = Annotated[Input, Tag("table")]
_Report = Annotated[Published, Tag("report")]


class InputNeed(BaseModel, frozen=True):
    """What a period needs of one input; `database` is that of an input that names none."""

    source: Annotated[_Table | _Report, Discriminator(_kind)]
    period: Period
    late_by: timedelta
    database: str

    @property
    def lookup(self) -> Hashable:
        """What one look at the account can answer: equal for needs that it answers together."""
        database = self.source.database or self.database
        return database, self.source.lookup(self.period)
