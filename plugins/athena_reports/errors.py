"""The errors of this package.

A message names report, period and query, and says what happened and what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the sentence that asks whether a known name was meant; empty if none is close."""
    nearest = get_close_matches(name, known, n=1)
    return f" Did you mean {nearest[0]}?" if nearest else ""


class AthenaReportsError(Exception):
    """Base of every error of this package.

    Attributes:
        retryable: Whether the same call may succeed later. Airflow retries the task then.
    """

    retryable = False

    def __init__(self, message: str = "", *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class PeriodError(AthenaReportsError, ValueError):
    """A cadence or a period does not exist: an unknown time zone, a malformed period id."""


class SettingsError(AthenaReportsError):
    """A setting is missing or wrong."""


class MissingPackageError(AthenaReportsError):
    """A Python package is not installed here. A retry does not install it."""


class ReportError(AthenaReportsError):
    """What a DAG file declares is not valid.

    Attributes:
        declaration: What is declared, such as `Report 'plays'`, `Column 'bigint'` or `rows()`.
        field: The field or argument that is not valid.
    """

    def __init__(self, declaration: str, field: str, problem: str) -> None:
        super().__init__(f"{declaration}, field {field!r}: {problem}")
        self.declaration = declaration
        self.field = field


class SqlTemplateError(AthenaReportsError):
    """A report's SQL template cannot be rendered."""


class RunPeriodError(AthenaReportsError):
    """A run has no period, or one that cannot be reported yet."""


class QueryError(AthenaReportsError):
    """A query did not succeed."""


class InputError(AthenaReportsError):
    """A source table does not fit the report's declaration."""


class MissingPartitionsError(InputError):
    """A partition that a period needs is missing."""

    retryable = True


class EmptyResultError(AthenaReportsError):
    """A query returned no rows, and the report requires some."""


class SkipPeriodError(EmptyResultError):
    """A query returned no rows, and the report skips such periods."""


class ResultError(AthenaReportsError):
    """A query result cannot be read."""


class TransformError(AthenaReportsError):
    """A report's transform failed, or did not return a table."""


class CheckError(AthenaReportsError):
    """A declared check failed."""


class PublishError(AthenaReportsError):
    """A period could not be published; what was published before is unchanged."""

    retryable = True


class SchemaError(PublishError):
    """The columns do not fit the published table."""

    retryable = False
