"""The benchmark's judgement: what it accepts as a true copy, and how it compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import athena_output
from bench.athena_output import fingerprint, rows
from bench.results import paired
from tests.support.memory_store import MemoryS3

ROWS = 200
RESULT = rows(0, ROWS)


def test_rows_in_another_order_are_a_true_copy() -> None:
    assert fingerprint(f"FROM ({RESULT}) ORDER BY score") == fingerprint(RESULT)


@pytest.mark.parametrize(
    "value",
    [
        "user_id + 1 AS user_id",
        "concat(name, ' ') AS name",
        "played_at + INTERVAL 1 millisecond AS played_at",
        "score + 1e-9 AS score",
        "NULL::DOUBLE AS score",
    ],
)
@given(row=st.integers(0, ROWS - 1))
@settings(max_examples=10)
def test_another_value_is_no_true_copy(value: str, row: int) -> None:
    changed = f"SELECT * REPLACE ({value}) FROM ({rows(row, row + 1)})"
    copy = " UNION ALL ".join([rows(0, row), changed, rows(row + 1, ROWS)])
    assert fingerprint(copy) != fingerprint(RESULT)


@pytest.mark.parametrize(
    "copy", [f"{RESULT} UNION ALL {rows(7, 8)}", rows(1, ROWS)], ids=["twice", "lost"]
)
def test_a_row_too_many_or_too_few_is_no_true_copy(copy: str) -> None:
    assert fingerprint(copy) != fingerprint(RESULT)


def test_both_kinds_of_result_hold_the_rows(tmp_path: Path) -> None:
    s3: Any = MemoryS3()
    csv = athena_output.write_csv(ROWS, tmp_path, s3)
    unload = athena_output.write_unload(ROWS, tmp_path, s3)

    def download(key: str) -> Path:
        path = tmp_path / "downloaded" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(athena_output.BUCKET, key, str(path))
        return path

    (csv_path,) = map(download, csv.keys)
    unloaded = [str(download(key)) for key in unload.keys]
    header, first, *_ = csv_path.read_text().splitlines()
    assert header == '"user_id","name","played_at","score"'
    assert first.count('"') == 8
    assert fingerprint(f"FROM read_csv('{csv_path}')") == fingerprint(RESULT)
    assert fingerprint(f"FROM read_parquet({unloaded})") == fingerprint(RESULT)


def test_the_ratio_is_the_median_of_the_ratios_pair_by_pair() -> None:
    row = paired("name", "seconds", [2.0, 4.0, 9.0], "other", [4.0, 4.0, 30.0], 0.6)
    assert (row.ours, row.others, row.ratio) == (4.0, {"other": 4.0}, 0.5)
