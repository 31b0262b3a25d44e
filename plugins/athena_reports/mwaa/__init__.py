"""The bundle for Amazon MWAA, its check in a twin of MWAA's image, and its deployment."""

from athena_reports.errors import AthenaReportsError


class DeployError(AthenaReportsError):
    """Something is wrong with what was asked for; the message says what, and what to do."""
