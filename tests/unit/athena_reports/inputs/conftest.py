from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.athena_reports.inputs.glue_tables import Lake

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


@pytest.fixture
def lake(glue: GlueClient, database: str) -> Lake:
    return Lake(glue, database)
