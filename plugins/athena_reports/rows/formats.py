"""The formats in which a report can be published."""

from typing import Literal

Format = Literal["parquet", "csv", "csv_for_spreadsheets", "jsonl"]

CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "csv_for_spreadsheets": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
