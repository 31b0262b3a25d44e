"""The bytes of what is published: readers outside of this package depend on them."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from athena_reports.periods.calendar import weekly
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    Difference,
    EarlierVersion,
    Latest,
    Manifest,
    PartitionFacts,
    PlannedDelivery,
    PublicationFacts,
    PublishedObject,
    PublishedPeriod,
    QueryFacts,
    Reading,
    RunFacts,
    Version,
)
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn

WEEK = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
LOCATION = PeriodLocation.of("reports", "plays", WEEK)
MANIFEST = Manifest(
    manifest_format=1,
    version="0123456789abcdef",
    ordered=True,
    rows=2,
    columns=(TableColumn(name="user_id", type="VARCHAR", glue="string"),),
    objects=(
        PublishedObject(
            format="parquet",
            key="plays/weekly/2026-11-15/versions/0123456789abcdef/parquet/part-0.parquet",
            bytes=120,
            sha256="ab" * 32,
            rows=2,
        ),
    ),
    key=("user_id",),
    read_by_next="2-abc",
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
    run=RunFacts(dag_id="plays_weekly", run_id="run-1", max_tries=2),
    code_version="0.1.0",
    logic="v2:0123456789abcdef",
    transforms_logic="v2:fedcba9876543210",
    delivery=PlannedDelivery(
        channels=("sales", "topic"),
        until="2026-11-28T15:00:00+00:00",
        correct_until="2026-12-21T15:00:00+00:00",
    ),
    parts={"plays_daily": {"2026-11-15": "fedcba9876543210"}},
    readings=(Reading(digest="2-abc", since="2026-11-21T15:05:00.000+00:00"),),
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
    "run_id": "run-1",
    "max_tries": 2
  },
  "code_version": "0.1.0",
  "logic": "v2:0123456789abcdef",
  "transforms_logic": "v2:fedcba9876543210",
  "delivery": {
    "channels": [
      "sales",
      "topic"
    ],
    "until": "2026-11-28T15:00:00+00:00",
    "correct_until": "2026-12-21T15:00:00+00:00"
  },
  "parts": {
    "plays_daily": {
      "2026-11-15": "fedcba9876543210"
    }
  },
  "version": "0123456789abcdef",
  "ordered": true,
  "rows": 2,
  "columns": [
    {
      "name": "user_id",
      "type": "VARCHAR",
      "glue": "string",
      "description": "",
      "private": false
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
  "key": [
    "user_id"
  ],
  "read_by_next": "2-abc",
  "manifest_format": 1,
  "restated_at": "",
  "readings": [
    {
      "digest": "2-abc",
      "since": "2026-11-21T15:05:00.000+00:00"
    }
  ],
  "earlier_versions": [],
  "repeated_queries": []
}"""
LATEST_JSON = """\
{
  "latest_format": 1,
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

RESTATED = MANIFEST.model_copy(
    update={
        "partial": True,
        "missing_partitions": ("dt=2026-11-15",),
        "checks": (
            CheckResult(
                name="rows(at_least=9)", severity="warn", passed=False, message="few", value=2
            ),
            CheckResult(
                name="not_null(user_id)", severity="fail", passed=True, message="", value=0
            ),
        ),
        "restated_at": "2026-11-21T15:05:00.000+00:00",
        "readings": (
            Reading(digest="2-abc", since="2026-11-21T15:05:00.000+00:00"),
            Reading(digest="1-def", since="2026-10-31T15:05:00.000+00:00"),
        ),
        "earlier_versions": (
            EarlierVersion(
                version="fedcba9876543210",
                rows=1,
                published_at="2026-10-31T15:06:00.000+00:00",
                provisional=True,
                replaced_at="2026-11-21T15:06:00.000+00:00",
                difference=Difference(added=2, removed=1, changed=4),
                query=QueryFacts(
                    id="q-0", submitted_at="2026-10-31T15:05:00.000+00:00", scanned_bytes=10
                ),
                code_version="0.1.0",
                private_columns=("user_id",),
            ),
        ),
        "repeated_queries": (
            QueryFacts(
                id="q-2",
                submitted_at="2026-11-22T15:05:00.000+00:00",
                scanned_bytes=30,
                price_usd=0.5,
            ),
        ),
    }
)
HISTORY_JSON = """\
  "restated_at": "2026-11-21T15:05:00.000+00:00",
  "readings": [
    {
      "digest": "2-abc",
      "since": "2026-11-21T15:05:00.000+00:00"
    },
    {
      "digest": "1-def",
      "since": "2026-10-31T15:05:00.000+00:00"
    }
  ],
  "earlier_versions": [
    {
      "version": "fedcba9876543210",
      "rows": 1,
      "published_at": "2026-10-31T15:06:00.000+00:00",
      "provisional": true,
      "replaced_at": "2026-11-21T15:06:00.000+00:00",
      "difference": {
        "added": 2,
        "removed": 1,
        "changed": 4
      },
      "query": {
        "id": "q-0",
        "submitted_at": "2026-10-31T15:05:00.000+00:00",
        "statement": "",
        "reads_previous": false,
        "sql_sha256": "",
        "scanned_bytes": 10,
        "price_usd": null,
        "engine_version": ""
      },
      "code_version": "0.1.0",
      "logic": "",
      "private_columns": [
        "user_id"
      ]
    }
  ],
  "repeated_queries": [
    {
      "id": "q-2",
      "submitted_at": "2026-11-22T15:05:00.000+00:00",
      "statement": "",
      "reads_previous": false,
      "sql_sha256": "",
      "scanned_bytes": 30,
      "price_usd": 0.5,
      "engine_version": ""
    }
  ]
}"""
PARAMETERS = {
    "version": "0123456789abcdef",
    "rows": "2",
    "bytes": "120",
    "published_at": "2026-11-21T15:06:00.000+00:00",
    "submitted_at": "2026-11-21T15:05:00.000+00:00",
    "settles_at": "2026-11-21T15:00:00+00:00",
    "restated_at": "2026-11-21T15:05:00.000+00:00",
    "reads_previous": "false",
    "readings": (
        '{"2026-11-21T15:05:00.000+00:00": "2-abc", "2026-10-31T15:05:00.000+00:00": "1-def"}'
    ),
    "provisional": "false",
    "partial": "true",
    "start": "2026-11-15T00:00:00+09:00",
    "end": "2026-11-22T00:00:00+09:00",
    "timezone": "Asia/Tokyo",
    "scanned_bytes": "20",
    "price_usd": "0.0001",
    "query_id": "q-1",
    "dag_id": "plays_weekly",
    "run_id": "run-1",
    "manifest": "s3://reports/plays/weekly/2026-11-15/manifest.json",
    "environment": "dev",
    "checks_warned": "1",
    "earlier": "1",
    "logic": "v2:0123456789abcdef",
    "paid": '{"2026-10": [1, 10, 0.0, 1], "2026-11": [2, 50, 0.5001, 0]}',
    "broken": "",
    "channels": "sales,topic",
    "deliver_until": "2026-11-28T15:00:00+00:00",
    "correct_until": "2026-12-21T15:00:00+00:00",
    "parts": '{"plays_daily": {"2026-11-15": "fedcba9876543210"}}',
}


def test_the_bytes_of_a_manifest() -> None:
    assert MANIFEST.model_dump_json(indent=2) == MANIFEST_JSON
    assert Manifest.model_validate_json(MANIFEST_JSON) == MANIFEST


def facts_of(kind: type[BaseModel], manifest: Manifest) -> Any:
    """The part of a manifest that is of another model."""
    return kind.model_validate({name: getattr(manifest, name) for name in kind.model_fields})


@pytest.mark.parametrize(("provisional", "partial"), [(True, False), (False, True)])
def test_a_manifest_has_each_field_of_its_version_and_of_its_facts(
    provisional: bool, partial: bool
) -> None:
    """None of them is a default, so that none can be lost."""
    whole = RESTATED.model_copy(
        update={
            "provisional": provisional,
            "partial": partial,
            "ordered": not RESTATED.ordered,
            "readings": RESTATED.readings[1:],
        }
    )
    version: Version = facts_of(Version, whole)
    facts: PublicationFacts = facts_of(PublicationFacts, whole)
    for part in (version, facts):
        for name, field in type(part).model_fields.items():
            if not field.is_required():
                assert getattr(part, name) != field.get_default(call_default_factory=True), name
    made = Manifest.of(
        version,
        facts,
        restated_at=whole.restated_at,
        readings=whole.readings,
        earlier_versions=whole.earlier_versions,
        repeated_queries=whole.repeated_queries,
    )
    assert dict(made) == dict(whole) | {"readings": RESTATED.readings}
    latest = made.latest(LOCATION)
    assert latest.model_extra is not None
    assert latest.model_extra["provisional"] is provisional
    assert latest.model_extra["partial"] is partial


def test_what_the_next_manifest_says_of_a_version_is_what_it_said_itself() -> None:
    replaced_at = "2026-12-01T00:00:00.000+00:00"
    for provisional in (True, False):
        current = RESTATED.model_copy(update={"provisional": provisional})
        earlier = current.as_earlier_version(replaced_at, Difference(added=1, removed=2))
        own = {"replaced_at": replaced_at, "difference": Difference(added=1, removed=2)}
        shared = EarlierVersion.model_fields.keys() - own
        assert dict(earlier) == {name: getattr(current, name) for name in shared} | own


def test_the_bytes_of_the_history_in_a_manifest() -> None:
    assert RESTATED.model_dump_json(indent=2).endswith(HISTORY_JSON)
    assert Manifest.model_validate_json(RESTATED.model_dump_json()) == RESTATED


def test_the_bytes_of_the_object_that_names_the_latest_period() -> None:
    assert MANIFEST.latest(LOCATION).model_dump_json(indent=2) == LATEST_JSON
    assert Latest.model_validate_json(LATEST_JSON).period == MANIFEST.period


def test_the_parameters_of_the_partition() -> None:
    partition = RESTATED.partition(LOCATION)
    assert partition.location == f"{LOCATION.version_uri('0123456789abcdef')}parquet/"
    assert list(partition.parameters.items()) == list(PARAMETERS.items())


def test_a_report_without_channels_has_no_parameters_for_them() -> None:
    parameters = RESTATED.model_copy(update={"delivery": None}).partition(LOCATION).parameters
    assert PARAMETERS.keys() - parameters.keys() == {
        "channels",
        "deliver_until",
        "correct_until",
    }
    assert PartitionFacts.from_parameters(parameters).delivery is None
    assert PartitionFacts.from_parameters(PARAMETERS).delivery == MANIFEST.delivery


def test_a_query_without_a_price_has_no_parameter_for_it() -> None:
    query = RESTATED.query.model_copy(update={"price_usd": None, "reads_previous": True})
    parameters = RESTATED.model_copy(update={"query": query}).partition(LOCATION).parameters
    expected = {**PARAMETERS, "reads_previous": "true"}
    expected["paid"] = '{"2026-10": [1, 10, 0.0, 1], "2026-11": [2, 50, 0.5, 1]}'
    del expected["price_usd"]
    assert list(parameters.items()) == list(expected.items())


@pytest.mark.parametrize("name", ["start", "end", "timezone"])
def test_the_partition_has_the_bounds_of_the_manifest(name: str) -> None:
    parameters = MANIFEST.partition(LOCATION).parameters
    assert parameters[name] == json.loads(MANIFEST_JSON)["period"][name]


def test_a_period_is_published_with_its_bounds_in_its_zone_and_in_utc() -> None:
    period = weekly("sunday", "Asia/Tokyo").period("2026-11-15")
    assert PublishedPeriod.of(period).model_dump() == json.loads(MANIFEST_JSON)["period"]
