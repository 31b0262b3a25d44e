from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from athena_reports import Report

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_databases = count(1)
MakeReport = Callable[..., Report]


@pytest.fixture(scope="session")
def glue(s3_endpoint: str) -> GlueClient:
    return boto3.session.Session().client("glue", endpoint_url=s3_endpoint)


@pytest.fixture
def database(glue: GlueClient) -> str:
    """A new and empty Glue database."""
    name = f"reports_{next(_databases)}"
    glue.create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def make_report(sql_folder: Path) -> MakeReport:
    """Declares a report that is right except where a test says otherwise."""

    def make(**fields: Any) -> Report:
        return Report(**{"name": "plays", "sql": "plays.sql", "since": "2025-01-01"} | fields)

    return make
