"""What the demo shows: rankings, versions, checks, queries, and a copy of what was published."""

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
    from mypy_boto3_s3 import S3Client

_SHOWN_ROWS = 10
_MOVEMENT_STYLES = {"up": "green", "down": "red", "new": "cyan", "same": "dim"}


def latest_manifest(s3: S3Client, bucket: str, report: str, cadence: str) -> Mapping[str, Any]:
    """Return the manifest of the latest period that is published."""
    manifest: Mapping[str, Any] = json.loads(_read(s3, bucket, f"{report}/{cadence}/latest.json"))
    return manifest


def show_ranking(console: Console, s3: S3Client, bucket: str, manifest: Mapping[str, Any]) -> None:
    """Print the first rows of a published ranking, where its objects are and what was scanned."""
    period, query = manifest["period"], manifest["query"]
    objects = sorted((entry["format"], entry["key"]) for entry in manifest["objects"])
    parts = [_read(s3, bucket, key) for format, key in objects if format == "parquet"]
    rows = pa.concat_tables(pq.read_table(io.BytesIO(part)) for part in parts)
    shown = rows.slice(0, _SHOWN_ROWS)
    bounds = f"{period['start']} to {period['end']} ({period['timezone']})"
    table = Table(
        title=f"{manifest['report']}, {period['cadence']} {period['id']}",
        caption=f"{shown.num_rows} of {rows.num_rows} rows; {bounds}",
        title_style="bold",
    )
    for field in rows.schema:
        is_number = not pa.types.is_string(field.type)
        table.add_column(
            field.name, justify="right" if is_number else "left", overflow="ellipsis", no_wrap=True
        )
    for row in shown.to_pylist():
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    console.print(table)

    for format, key in objects:
        console.print(f"  {format:<8} s3://{bucket}/{key}", soft_wrap=True, highlight=False)
    scanned, price = query["scanned_bytes"], query["price_usd"]
    console.print(f"  scanned  {scanned:,} bytes, {price:.5f} USD (10 MB minimum)", highlight=False)
    marks = [name for name in ("provisional", "partial") if manifest[name]]
    missing = ", ".join(manifest["missing_partitions"]) or "more events may arrive"
    noted = f" ({', '.join(marks)}: {missing})" if marks else ""
    console.print(f"  version  {manifest['version']}{noted}", highlight=False, soft_wrap=True)
    for earlier in manifest["earlier_versions"]:
        difference = earlier["difference"]
        change = "{added} rows were added, {removed} removed and {changed} changed since"
        change = change.format_map(difference)
        before = f"{earlier['version']}, {earlier['rows']} rows"
        console.print(f"  before   {before}: {change}", highlight=False)
    for check in manifest["checks"]:
        verdict = "[green]passed[/green]" if check["passed"] else f"[red]{check['severity']}[/red]"
        result = f"{escape(check['name'])}: {escape(check['message'])}"
        console.print(f"  check    {verdict}  {result}", highlight=False)
    console.print()


def show_query(
    console: Console, athena: AthenaClient, database: str, workgroup: str, sql: str
) -> None:
    """Run a query over the published tables in Athena, and print it with its rows."""
    query = athena.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": database}, WorkGroup=workgroup
    )["QueryExecutionId"]
    status = athena.get_query_execution(QueryExecutionId=query)
    while status["QueryExecution"]["Status"]["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.05)
        status = athena.get_query_execution(QueryExecutionId=query)
    # Athena refuses to give the results of a query that has failed.
    rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    header, *values = [[datum.get("VarCharValue", "NULL") for datum in row["Data"]] for row in rows]
    table = Table(*header, title=f"Athena, database {database}", title_style="bold")
    for row in values:
        table.add_row(*map(escape, row))
    console.print(escape(sql), highlight=False)
    console.print(table)
    console.print()


def mirror(s3: S3Client, bucket: str, folder: Path) -> int:
    """Make `folder` a copy of a bucket, one file per object under its key; return their number."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(_read(s3, bucket, key))
    return len(keys)


def _read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def _cell(name: str, value: Any) -> Text:
    """One value; line breaks and other controls are shown, not obeyed."""
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, int) and not name.endswith("rank"):
        return Text(f"{value:,}")
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
    style = _MOVEMENT_STYLES.get(text.split(" ")[0], "") if name == "movement" else ""
    return Text(text, style=style)
