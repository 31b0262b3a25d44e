"""The bytes of what is published: readers outside of this package depend on them."""

import json
from typing import Any

from athena_reports.periods.calendar import weekly
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    Difference,
    EarlierVersion,
    Manifest,
    Partition,
    PartitionFacts,
    PublishedPeriod,
)

WEEK = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
LOCATION = PeriodLocation.of("reports", "plays", WEEK)
PERIOD = {
    "id": "2026-11-15",
    "cadence": "weekly",
    "timezone": "Asia/Tokyo",
    "start": "2026-11-15T00:00:00+09:00",
    "end": "2026-11-22T00:00:00+09:00",
    "start_utc": "2026-11-14T15:00:00+00:00",
    "end_utc": "2026-11-21T15:00:00+00:00",
}


def query(id: str, submitted_at: str, scanned_bytes: int, price_usd: float | None) -> Any:
    return {
        "id": id,
        "submitted_at": submitted_at,
        "statement": "SELECT" if id == "q-1" else "",
        "reads_previous": False,
        "sql_sha256": "",
        "scanned_bytes": scanned_bytes,
        "price_usd": price_usd,
        "engine_version": "",
    }


QUERY = query("q-1", "2026-11-21T15:05:00.000+00:00", 20, 0.0001)
IN_BOTH = {  # what the manifest and the partition have
    "report": "plays",
    "environment": "dev",
    "period": PERIOD,
    "settles_at": "2026-11-21T15:00:00+00:00",
    "provisional": False,
    "partial": True,
    "published_at": "2026-11-21T15:06:00.000+00:00",
    "query": QUERY,
    "run": {"dag_id": "plays_weekly", "run_id": "run-1", "max_tries": 2},
    "logic": "v2:0123456789abcdef",
    "delivery": {
        "channels": ["sales", "topic"],
        "until": "2026-11-28T15:00:00+00:00",
        "correct_until": "2026-12-21T15:00:00+00:00",
    },
    "parts": {"plays_daily": {"2026-11-15": "fedcba9876543210"}},
    "version": "0123456789abcdef",
    "rows": 2,
    "readings": [
        {"digest": "2-abc", "since": "2026-11-21T15:05:00.000+00:00"},
        {"digest": "1-def", "since": "2026-10-31T15:05:00.000+00:00"},
    ],
}
MANIFEST_JSON = IN_BOTH | {
    "missing_partitions": ["dt=2026-11-15"],
    "checks": [
        {
            "name": "rows(at_least=9)",
            "severity": "warn",
            "passed": False,
            "message": "few",
            "rows": [],
            "value": 2,
        },
        {
            "name": "not_null(user_id)",
            "severity": "fail",
            "passed": True,
            "message": "",
            "rows": [],
            "value": 0,
        },
    ],
    "code_version": "0.1.0",
    "bundle_version": "",
    "ordered": True,
    "columns": [
        {
            "name": "user_id",
            "type": "VARCHAR",
            "glue": "string",
            "description": "",
            "private": False,
        }
    ],
    "objects": [
        {
            "format": "parquet",
            "key": "plays/weekly/2026-11-15/versions/0123456789abcdef/parquet/part-0.parquet",
            "bytes": 120,
            "sha256": "ab" * 32,
            "rows": 2,
        }
    ],
    "key": ["user_id"],
    "read_by_next": "2-abc",
    "manifest_format": 1,
    "restated_at": "2026-11-21T15:05:00.000+00:00",
    "earlier_versions": [
        {
            "version": "fedcba9876543210",
            "rows": 1,
            "published_at": "2026-10-31T15:06:00.000+00:00",
            "provisional": True,
            "replaced_at": "2026-11-21T15:06:00.000+00:00",
            "difference": {"added": 2, "removed": 1, "changed": 4},
            "query": query("q-0", "2026-10-31T15:05:00.000+00:00", 10, None),
            "code_version": "0.1.0",
            "logic": "",
            "private_columns": ["user_id"],
            "bundle_version": "",
        }
    ],
    "repeated_queries": [query("q-2", "2026-11-22T15:05:00.000+00:00", 30, 0.5)],
}
MANIFEST = Manifest.model_validate(MANIFEST_JSON)
PARTITION_JSON = IN_BOTH | {
    "bytes": 120,
    "objects": MANIFEST_JSON["objects"],
    "checks_warned": 1,
    "earlier_versions": [
        {"version": "fedcba9876543210", "replaced_at": "2026-11-21T15:06:00.000+00:00"}
    ],
    "ledger": {"2026-10": [1, 10, 0.0, 1], "2026-11": [2, 50, 0.5001, 0]},
    "manifest_etag": '"etag"',
    "broken": "",
}


def test_the_bytes_of_a_manifest() -> None:
    assert json.loads(MANIFEST.model_dump_json()) == MANIFEST_JSON
    assert MANIFEST.period == PublishedPeriod.of(WEEK)


def test_the_partition_of_a_manifest() -> None:
    """It has one parameter. Nothing in it is of single rows, such as what a check has found."""
    partition = MANIFEST.partition(LOCATION, '"etag"')
    assert partition.location == f"{LOCATION.version_uri('0123456789abcdef')}parquet/"
    parameters = partition.facts.as_parameters()
    assert {name: json.loads(text) for name, text in parameters.items()} == {
        "athena_reports": PARTITION_JSON
    }
    stored = {"StorageDescriptor": {"Location": partition.location}, "Parameters": parameters}
    assert Partition.of(stored) == partition


def test_a_partition_of_another_program_has_no_facts() -> None:
    """Glue requires neither `Location` nor `Parameters` in a partition."""
    assert Partition.of({"StorageDescriptor": {}}) is None
    for text in ("", "{}", "not JSON"):
        assert PartitionFacts.from_parameters({"athena_reports": text}) is None


def test_what_the_next_manifest_says_of_a_version_is_what_it_said_itself() -> None:
    own = {
        "replaced_at": "2026-12-01T00:00:00.000+00:00",
        "difference": Difference(added=1, removed=2),
    }
    earlier = MANIFEST.as_earlier_version(**own)  # type: ignore[arg-type]
    shared = EarlierVersion.model_fields.keys() - own
    assert dict(earlier) == {name: getattr(MANIFEST, name) for name in shared} | own
