"""What a file is said to be to a browser or a mail program."""

from __future__ import annotations

from typing import get_args

from athena_reports.rows.formats import CONTENT_TYPES, Format


def test_each_format_has_its_media_type() -> None:
    assert CONTENT_TYPES.keys() == {*get_args(Format)}
    assert CONTENT_TYPES == {
        "parquet": "application/vnd.apache.parquet",
        "csv": "text/csv; charset=utf-8",
        "csv_for_spreadsheets": "text/csv; charset=utf-8",
        "jsonl": "application/x-ndjson",
    }
