"""What there is of an input for one period, and what a query would miss."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

_SHOWN_GAPS = 5  # how many a message names


class InputCoverage(BaseModel, frozen=True):
    """What there is of one input for one period; partitions are written as `dt=2025-06-29`."""

    table: str  # with its database
    is_partitioned: bool = True
    missing: Literal["fail", "partial"]  # what the input declares
    needed: int  # 0 for a table without partitions
    present: tuple[str, ...] = ()  # the needed ones that the query sees
    absent: tuple[str, ...] = ()  # Glue does not have them
    outside: tuple[str, ...] = ()  # outside the range of the table's projection
    not_done: tuple[str, ...] = ()  # there is no object that says that they are complete

    @property
    def gaps(self) -> list[str]:
        """Every needed partition that the query cannot see, or not completely, with its table."""
        missing = (*self.absent, *self.outside, *self.not_done)
        return [f"{self.table}/{partition}" for partition in missing]

    @property
    def stops_run(self) -> bool:
        """Whether a run does not start its query, as it lacks a partition that it needs."""
        return bool(self.gaps) and self.missing == "fail"

    def __str__(self) -> str:
        if not self.is_partitioned:
            return f"{self.table} has no partitions"
        descriptions = []
        if self.absent:
            descriptions.append(self._describe_gaps(self.absent, "are not registered in Glue"))
        if self.outside:
            descriptions.append(
                self._describe_gaps(
                    self.outside, "lie outside the range of its partition projection"
                )
            )
        if self.not_done:
            descriptions.append(self._describe_gaps(self.not_done, "have no done object"))
        if descriptions:
            return "; ".join(descriptions)
        return f"all {self.needed} partitions of {self.table} that it needs are there"

    def _describe_gaps(self, partitions: Sequence[str], problem: str) -> str:
        shown = ", ".join(partitions[:_SHOWN_GAPS])
        count = f"{len(partitions)} of the {self.needed} partitions of {self.table} that it needs"
        text = f"{count} {problem}: {shown}"
        if len(partitions) > _SHOWN_GAPS:
            text += f" and {len(partitions) - _SHOWN_GAPS} more"
        return text


def why_empty(inputs: Sequence[InputCoverage]) -> str:
    """Return a sentence that says why a query may have given no rows.

    Partitions may be missing, or lie outside a projection, or there are no events.
    """
    if not inputs:
        return "The report declares no inputs, so its partitions were not checked."
    with_gaps = [str(coverage) for coverage in inputs if coverage.gaps]
    if with_gaps:
        return f"Perhaps because {'; '.join(with_gaps)}."
    without_gaps = "; ".join(map(str, inputs))
    return f"There are no events: {without_gaps}."
