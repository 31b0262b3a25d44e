"""What the submitting task hands on."""

from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel

from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period


class Submitted(BaseModel, frozen=True, defer_build=True):
    """What the submitting task hands on.

    The period is None for a query without a cadence. Only the execution that is named gets a
    successor after a failure that may pass. `query_logic` is the digest of what made the query;
    empty if its DAG does not say.
    """

    period: Period | None
    query_execution_id: str = ""
    sql_sha256: str
    inputs: tuple[InputCoverage, ...] = ()
    late_by: timedelta = timedelta(0)
    reads_previous: bool = False
    query_logic: str = ""

    @classmethod
    def from_xcom(cls, value: Any) -> Self | None:
        """Read the XCom of the submitting task; None if it pushed nothing."""
        return cls.model_validate(value) if value else None
