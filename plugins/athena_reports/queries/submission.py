"""What the submitting task hands on."""

from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel

from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period


class Submitted(BaseModel, frozen=True, defer_build=True):
    """What the submitting task hands on."""

    period: Period | None  # None for a query without a cadence
    query_execution_id: str = ""  # no other one gets a successor after a failure that may pass
    sql_sha256: str
    inputs: tuple[InputCoverage, ...] = ()
    late_by: timedelta = timedelta(0)
    reads_previous: bool = False
    query_logic: str = ""  # the digest of what made the query; empty if its DAG does not say

    @classmethod
    def from_xcom(cls, value: Any) -> Self | None:
        """Read the XCom of the submitting task; None if it pushed nothing."""
        return cls.model_validate(value) if value else None
