"""The bytes of what is published: readers outside of this package depend on them."""

import json

import pytest

from athena_reports.periods.calendar import weekly
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Latest, Manifest, PublishedObject, PublishedPeriod, QueryFacts, RunFacts
from athena_reports.rows.columns import Column

WEEK = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
LOCATION = PeriodLocation.of("reports", "plays", WEEK)
MANIFEST = Manifest(
    manifest_format=1,
    version="0123456789abcdef",
    ordered=True,
    rows=2,
    columns=(Column(name="user_id", type="VARCHAR", glue="string"),),
    objects=(
        PublishedObject(
            format="parquet",
            key="plays/weekly/2026-11-15/versions/0123456789abcdef/parquet/part-0.parquet",
            bytes=120,
            sha256="ab" * 32,
            rows=2,
        ),
    ),
    report="plays",
    environment="dev",
    period=PublishedPeriod.of(WEEK),
    settles_at="2026-11-21T15:00:00+00:00",
    provisional=False,
    partial=False,
    missing_partitions=(),
    published_at="2026-11-21T15:06:00.000+00:00",
    query=QueryFacts(
        id="q-1",
        submitted_at="2026-11-21T15:05:00.000+00:00",
        statement="SELECT",
        scanned_bytes=20,
        price_usd=0.0001,
    ),
    checks=(),
    run=RunFacts(dag_id="plays_weekly", run_id="run-1"),
    code_version="0.1.0",
    logic="v2:0123456789abcdef",
)
MANIFEST_JSON = """\
{
  "report": "plays",
  "environment": "dev",
  "period": {
    "id": "2026-11-15",
    "cadence": "weekly",
    "timezone": "Asia/Tokyo",
    "start": "2026-11-15T00:00:00+09:00",
    "end": "2026-11-22T00:00:00+09:00",
    "start_utc": "2026-11-14T15:00:00+00:00",
    "end_utc": "2026-11-21T15:00:00+00:00"
  },
  "settles_at": "2026-11-21T15:00:00+00:00",
  "provisional": false,
  "partial": false,
  "missing_partitions": [],
  "published_at": "2026-11-21T15:06:00.000+00:00",
  "query": {
    "id": "q-1",
    "submitted_at": "2026-11-21T15:05:00.000+00:00",
    "statement": "SELECT",
    "reads_previous": false,
    "sql_sha256": "",
    "scanned_bytes": 20,
    "price_usd": 0.0001,
    "engine_version": ""
  },
  "checks": [],
  "run": {
    "dag_id": "plays_weekly",
    "run_id": "run-1"
  },
  "code_version": "0.1.0",
  "logic": "v2:0123456789abcdef",
  "version": "0123456789abcdef",
  "ordered": true,
  "rows": 2,
  "columns": [
    {
      "name": "user_id",
      "type": "VARCHAR",
      "glue": "string",
      "description": ""
    }
  ],
  "objects": [
    {
      "format": "parquet",
      "key": "plays/weekly/2026-11-15/versions/0123456789abcdef/parquet/part-0.parquet",
      "bytes": 120,
      "sha256": "abababababababababababababababababababababababababababababababab",
      "rows": 2
    }
  ],
  "manifest_format": 1,
  "restated_at": "",
  "earlier_versions": [],
  "repeated_queries": []
}"""
LATEST_JSON = """\
{
  "period": {
    "id": "2026-11-15",
    "cadence": "weekly",
    "timezone": "Asia/Tokyo",
    "start": "2026-11-15T00:00:00+09:00",
    "end": "2026-11-22T00:00:00+09:00",
    "start_utc": "2026-11-14T15:00:00+00:00",
    "end_utc": "2026-11-21T15:00:00+00:00"
  },
  "manifest": "plays/weekly/2026-11-15/manifest.json",
  "submitted_at": "2026-11-21T15:05:00.000+00:00",
  "report": "plays",
  "provisional": false,
  "partial": false,
  "published_at": "2026-11-21T15:06:00.000+00:00",
  "version": "0123456789abcdef",
  "rows": 2,
  "cadence": "weekly"
}"""


def test_the_bytes_of_a_manifest() -> None:
    assert MANIFEST.model_dump_json(indent=2) == MANIFEST_JSON
    assert Manifest.model_validate_json(MANIFEST_JSON) == MANIFEST


def test_the_bytes_of_the_object_that_names_the_latest_period() -> None:
    assert MANIFEST.latest(LOCATION).model_dump_json(indent=2) == LATEST_JSON
    assert Latest.model_validate_json(LATEST_JSON).period == MANIFEST.period


@pytest.mark.parametrize("name", ["start", "end", "timezone"])
def test_the_partition_has_the_bounds_of_the_manifest(name: str) -> None:
    parameters = MANIFEST.partition(LOCATION).parameters
    assert parameters[name] == json.loads(MANIFEST_JSON)["period"][name]
