"""What the demo shows a person: rankings, versions and checks, queries, and a copy of what was published."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_athena.type_defs import QueryExecutionStatusTypeDef
    from mypy_boto3_s3 import S3Client

_SHOWN_ROWS = 10
_NUMBERS = ("int", "decimal", "double", "float")
_MOVEMENT_STYLES = {"up": "green", "down": "red", "new": "cyan", "same": "dim"}


def latest_manifest(s3: S3Client, bucket: str, report: str, cadence: str) -> Mapping[str, Any]:
    """Return the manifest of the latest period that is published.

    Raises:
        LookupError: None is.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{report}/{cadence}/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    manifests = sorted(key for key in keys if key.endswith("/manifest.json"))
    if not manifests:
        raise LookupError(f"nothing is published under s3://{bucket}/{report}/{cadence}/")
    manifest: Mapping[str, Any] = json.loads(_read(s3, bucket, manifests[-1]))
    return manifest


def show_ranking(console: Console, s3: S3Client, bucket: str, manifest: Mapping[str, Any]) -> None:
    """Print the first rows of a published ranking, where its objects are and what was scanned."""
    period, query = manifest["period"], manifest["query"]
    objects = sorted((entry["format"], entry["key"]) for entry in manifest["objects"])
    parts = [_read(s3, bucket, key) for format, key in objects if format == "parquet"]
    rows = pa.concat_tables(pq.read_table(io.BytesIO(part)) for part in parts)
    table = Table(
        title=f"{manifest['report']}, {period['cadence']} {period['id']}",
        caption=(
            f"{min(_SHOWN_ROWS, rows.num_rows)} of {rows.num_rows} rows; "
            f"{period['start']} to {period['end']} ({period['timezone']})"
        ),
        title_style="bold",
    )
    for field in rows.schema:
        number = str(field.type).startswith(_NUMBERS)
        table.add_column(field.name, justify="right" if number else "left", overflow="ellipsis", no_wrap=True)
    for row in rows.slice(0, _SHOWN_ROWS).to_pylist():
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    console.print(table)
    for format, key in objects:
        console.print(f"  {format:<8} s3://{bucket}/{key}", soft_wrap=True, highlight=False)
    scanned, price = query["scanned_bytes"], query["price_usd"]
    console.print(f"  scanned  {scanned:,} bytes, {price:.5f} USD at 5 USD/TB (10 MB at least)", highlight=False)
    marks = [name for name in ("provisional", "partial") if manifest[name]]
    missing = manifest["missing_partitions"]
    noted = f" ({', '.join(marks)}: {', '.join(missing) or 'more may land'})" if marks else ""
    console.print(f"  version  {manifest['version']}{noted}", highlight=False, soft_wrap=True)
    for earlier in manifest["earlier_versions"]:
        difference = earlier["difference"]
        console.print(
            f"  before   {earlier['version']}, {earlier['rows']} rows: "
            f"{difference['added']} rows were added and {difference['removed']} removed since",
            highlight=False,
        )
    for check in manifest["checks"]:
        verdict = "[green]passed[/green]" if check["passed"] else f"[red]{check['severity']}[/red]"
        console.print(f"  check    {verdict}  {escape(check['name'])}: {escape(check['message'])}", highlight=False)
    console.print()


def show_query(console: Console, athena: AthenaClient, database: str, workgroup: str, sql: str) -> None:
    """Run a query over the published tables in Athena, and print it with its rows.

    Raises:
        LookupError: It failed.
    """
    query_execution_id = athena.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": database}, WorkGroup=workgroup
    )["QueryExecutionId"]
    while (status := _status(athena, query_execution_id))["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.05)
    if status["State"] != "SUCCEEDED":
        raise LookupError(f"query {query_execution_id} is {status['State']}: {status.get('StateChangeReason')}")
    rows = athena.get_query_results(QueryExecutionId=query_execution_id)["ResultSet"]["Rows"]
    header, *values = [[datum.get("VarCharValue", "NULL") for datum in row["Data"]] for row in rows]
    table = Table(*header, title=f"Athena, database {database}", title_style="bold")
    for row in values:
        table.add_row(*map(escape, row))
    console.print(escape(sql), highlight=False)
    console.print(table)
    console.print()


def _status(athena: AthenaClient, query_execution_id: str) -> QueryExecutionStatusTypeDef:
    return athena.get_query_execution(QueryExecutionId=query_execution_id)["QueryExecution"]["Status"]


def mirror(s3: S3Client, bucket: str, folder: Path) -> int:
    """Make `folder` a copy of a bucket, one file per object under its key; return their number."""
    shutil.rmtree(folder, ignore_errors=True)
    number = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            path = folder / entry["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_read(s3, bucket, entry["Key"]))
            number += 1
    return number


def _read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def _cell(name: str, value: Any) -> Text:
    """One value; line breaks and other controls are shown, not obeyed."""
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, int) and name != "rank" and not name.endswith("_rank"):
        return Text(f"{value:,}")
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
    style = _MOVEMENT_STYLES.get(text.split(" ")[0], "") if name == "movement" else ""
    return Text(text, style=style)
