"""What is kept of a version of the library: a project, and all that it has published."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from tests.compatibility.visits import days_between, remove_objects

VERSIONS = Path(__file__).with_name("versions")
BUCKET = "athena-report-dev"
DATABASE = "report_dev"
REPORTS = ("page_visits", "visits_by_hand")
STORED_DAGS = (
    "after_page_visits",
    "page_visits_weekly",
    "page_visits_weekly_alerts",
    "visits_by_hand",
)


@dataclass(frozen=True)
class KeptVersion:
    """A folder of `versions/`.

    `project/` is what a team had. `published/` has the objects of the report bucket, and
    `publication.json` what S3 and Glue know of them. `serialized/` has DAGs as the metadata
    database had them, one of each kind that stores a class of the library. `version.json` says who
    wrote it and what it offered. `in_flight.json` has the XComs of a run whose version is not
    published yet.
    """

    name: str

    @property
    def folder(self) -> Path:
        return VERSIONS / self.name

    @property
    def dags(self) -> Path:
        return self.folder / "project" / "dags"

    @property
    def sql(self) -> Path:
        return self.folder / "project" / "sql"

    @cached_property
    def facts(self) -> dict[str, Any]:
        return self.read("version.json")

    @property
    def days(self) -> list[date]:
        """The days of `kept_visits`."""
        first, last = self.facts["days"]
        return days_between(date.fromisoformat(first), date.fromisoformat(last))

    def read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return content

    def write(self, name: str, content: object) -> None:
        text = json.dumps(content, indent=1, sort_keys=True)
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")

    def store(self) -> None:
        """Keep what is published now."""
        s3 = boto3.client("s3")
        objects = {}
        for key in _published_keys():
            response = s3.get_object(Bucket=BUCKET, Key=key)
            file = self.folder / "published" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(response["Body"].read())
            objects[key] = {
                "ContentType": response["ContentType"],
                "Metadata": response["Metadata"],
            }
        glue = boto3.client("glue")
        tables = []
        for table in glue.get_tables(DatabaseName=DATABASE)["TableList"]:
            if not table["Name"].startswith(REPORTS):
                continue
            listed = glue.get_partitions(DatabaseName=DATABASE, TableName=table["Name"])
            partitions = [
                _only(partition, "Values", "StorageDescriptor", "Parameters")
                for partition in listed["Partitions"]
            ]
            given = ("Name", "Description", "TableType", "PartitionKeys")
            table_input = _only(table, *given, "StorageDescriptor", "Parameters")
            tables.append({"table": table_input, "partitions": partitions})
        self.write("publication.json", {"objects": objects, "tables": tables})

    def restore(self) -> None:
        """Bring back what was published."""
        remove_published()
        publication = self.read("publication.json")
        s3 = boto3.client("s3")
        for key, facts in publication["objects"].items():
            content = (self.folder / "published" / key).read_bytes()
            s3.put_object(Bucket=BUCKET, Key=key, Body=content, ChecksumAlgorithm="SHA256", **facts)
        glue = boto3.client("glue")
        for kept in publication["tables"]:
            glue.create_table(DatabaseName=DATABASE, TableInput=kept["table"])
            glue.batch_create_partition(
                DatabaseName=DATABASE,
                TableName=kept["table"]["Name"],
                PartitionInputList=kept["partitions"],
            )


def remove_published() -> None:
    """Remove all that the projects publish."""
    remove_objects(BUCKET, _published_keys())
    glue = boto3.client("glue")
    for name in ("page_visits_weekly", "page_visits_monthly"):
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_table(DatabaseName=DATABASE, Name=name)


def _published_keys() -> list[str]:
    s3 = boto3.client("s3")
    keys = []
    for report in REPORTS:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{report}/")
        for page in pages:
            keys += [stored["Key"] for stored in page.get("Contents", [])]
    return keys


def _only(facts: Any, *names: str) -> dict[str, Any]:
    """What an input of Glue takes of what it returned."""
    return {name: facts[name] for name in names if name in facts}
