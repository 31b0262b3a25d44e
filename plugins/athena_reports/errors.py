"""What can go wrong, as a small tree under `AthenaReportsError`.

Every message says what happened, to which report and period, in which query, and what to do next.
"""

from __future__ import annotations

import errno


class AthenaReportsError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        retryable: Whether the same may succeed later as it is.
    """

    retryable = False


class PeriodError(AthenaReportsError, ValueError):
    """A cadence or a period that cannot be: an unknown time zone, an id that names no period."""


class SettingsError(AthenaReportsError, ValueError):
    """A setting of the environment that is missing or wrong; the message names the variable."""


class ReportError(AthenaReportsError, ValueError):
    """A report that is declared wrongly; the message names the report, the field and the ways out."""

    def __init__(self, report: str, field: str, problem: str, way_out: str) -> None:
        super().__init__(f"Report {report!r}, field {field!r}: {problem} {way_out}")
        self.report = report
        self.field = field


class RunPeriodError(AthenaReportsError):
    """A run that cannot say which period it is for, or is for one that cannot be reported yet."""


class QueryError(AthenaReportsError):
    """A query that did not succeed; the message holds its id, Athena's reason and the next step."""


class InputError(AthenaReportsError):
    """A table that a report reads is not as the report says."""


class MissingPartitionsError(InputError):
    """A partition that a period needs is missing; the message names the table and the partitions."""

    retryable = True


class EmptyResultError(AthenaReportsError):
    """A query gave no rows where the report has to have some; the message says why there are none."""


class SkipPeriodError(EmptyResultError):
    """There are no rows, and the report says to publish nothing then."""


class ResultError(AthenaReportsError):
    """A query result that cannot be read as what it claims to be."""


class TransformError(AthenaReportsError):
    """A report's transform failed or returned something that is no table."""


class CheckError(AthenaReportsError):
    """A declared check failed; the message names it and a few of the rows. Nothing is published."""


class PublishError(AthenaReportsError):
    """A period that could not be made visible; what was published before stands unchanged.

    Attributes:
        retryable: Whether the same may succeed later as it is.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SchemaError(PublishError):
    """The columns do not fit the published table; the message shows both."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no space left on a disk, or none that may be used."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
