"""A deployment whose settings are all its own: none is a default, and no two are the same text.

So a task that gets a neighbour's setting, or none, is told from one that gets its own.
"""

import pytest

from athena_reports.settings import Settings, settings

VARIABLES = {
    "ENV": "stg",
    "DATABASE": "lake_db",
    "WORKGROUP": "reports-wg",
    "QUERY_RESULTS": "s3://acme-results/reports/",
    "BUCKET": "acme-reports",
    "REPORT_DATABASE": "reports_db",
    "BUCKET_OWNER": "012345678901",
    "ENCRYPTION": "alias/reports",
    "POOL": "athena",
    "MEMORY_LIMIT": "512MB",
    "RECIPIENTS": "example.com,#sales",
    "AWS_CONN_ID": "aws_reports",
    "PAUSED": "true",
    "CATCHUP": "true",
    "DEFERRABLE": "false",
}


def own_deployment(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Set the variables of that deployment, and return its settings."""
    for name, text in VARIABLES.items():
        monkeypatch.setenv(f"ATHENA_REPORTS_{name}", text)
    settings.cache_clear()
    return settings()
