"""What exists of an input for one period, and what a query would miss."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

_SHOWN_GAPS = 5  # how many a message names


class InputCoverage(BaseModel, frozen=True):
    """What exists of one input for one period, by partitions such as `dt=2025-06-29`.

    Those of a `Published` are its periods; only it has `dag_id`, `versions` and `settles_at`.
    """

    table: str  # with its database
    catalog: str | None = None  # None for AwsDataCatalog
    is_partitioned: bool = True
    missing: Literal["fail", "partial"]  # what the input declares
    needed: int  # 0 for a table without partitions
    present: tuple[str, ...] = ()  # the required ones that the query sees
    absent: tuple[str, ...] = ()  # Glue does not have them
    outside: tuple[str, ...] = ()  # outside the range of the table's projection
    not_done: tuple[str, ...] = ()  # they have no success marker
    unpublished: tuple[str, ...] = ()  # periods of a report that are not published
    partial: tuple[str, ...] = ()  # periods of a report that lack some of their own input
    dag_id: str = ""  # publishes the periods
    versions: Mapping[str, str] = Field(default_factory=dict)  # that the query sees, by period id
    settles_at: datetime | None = None  # the last provisional period; None if none is

    @property
    def lacks_partitions(self) -> bool:
        """Whether a required partition is missing, which a run may wait for."""
        return bool(self.absent or self.outside or self.not_done or self.unpublished)

    @property
    def gaps(self) -> list[str]:
        """Every required partition that the query cannot see in full, with its table."""
        partitions = chain.from_iterable(self._partitions_by_problem.values())
        return [f"{self.table}/{partition}" for partition in partitions]

    @property
    def stops_run(self) -> bool:
        """Whether a run does not start its query, as a partition that it requires is missing."""
        return self.lacks_partitions and self.missing == "fail"

    @property
    def remedy(self) -> str:
        """How the missing partitions come to exist, as a clause without its end."""
        if self.dag_id:
            return f"Wait for them, or run {self.dag_id} to publish them"
        if len(self.absent) > 1 and not self.present:
            return "Wait for them, register them, or correct format= if Glue uses another format"
        return "Wait for them, or register them"

    @property
    def _partitions_by_problem(self) -> Mapping[str, tuple[str, ...]]:
        return {
            "missing in Glue": self.absent,
            "outside the range of its partition projection": self.outside,
            "without a success marker": self.not_done,
            "not published": self.unpublished,
            "published as partial": self.partial,
        }

    def __str__(self) -> str:
        if not self.is_partitioned:
            return f"{self.table} has no partitions"
        descriptions = []
        for problem, partitions in self._partitions_by_problem.items():
            if partitions:
                count = f"{len(partitions)} of {self.needed} required partitions"
                descriptions.append(f"{count} {problem}: {_shown(partitions)}")
        if not descriptions:
            return f"{self.table}: all {self.needed} required partitions exist"
        return f"{self.table}: {'; '.join(descriptions)}"


class InputPartitions(NamedTuple):
    """The partitions of an input that a period requires, and the `s3://` folders of the others.

    `folders` is by partition, such as `dt=2025-06-29`; of a table without partitions by "".
    """

    coverage: InputCoverage
    folders: Mapping[str, str]


def why_empty(inputs: Sequence[InputCoverage]) -> str:
    """Return sentences that say why a query may have given no rows."""
    if not inputs:
        return "The report declares no inputs, so no partitions were checked."
    with_gaps = [str(coverage) for coverage in inputs if coverage.gaps]
    if with_gaps:
        return f"Possible cause: {'; '.join(with_gaps)}."
    return f"{'; '.join(map(str, inputs))}. No rows matched."


def _shown(partitions: Sequence[str]) -> str:
    shown = ", ".join(partitions[:_SHOWN_GAPS])
    if len(partitions) > _SHOWN_GAPS:
        return f"{shown} and {len(partitions) - _SHOWN_GAPS} more"
    return shown
