"""The benchmark's judgement: what it calls a true copy, and whom it compares with."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.csvstream import read_csv
from bench import athena_output
from bench.athena_output import Facts, facts_of, facts_of_files, rows_of
from bench.results_path import compared

ROWS = 200


def made() -> pa.RecordBatch:
    (batch,) = rows_of(ROWS)
    return batch


class FolderS3:
    """What the benchmark puts into S3, as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        target = self.folder / bucket / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    def put_object(self, **_: Any) -> None:
        """The data manifest is not looked at."""


@given(st.lists(st.integers(0, ROWS), max_size=4), st.randoms(use_true_random=False))
def test_rows_in_another_order_and_other_batches_are_a_true_copy(cuts: list[int], random: Any) -> None:
    order = list(range(ROWS))
    random.shuffle(order)
    shuffled = made().take(pa.array(order))
    ends = [0, *sorted(cuts), ROWS]
    parts = [shuffled.slice(start, end - start) for start, end in pairwise(ends)]
    assert sum(map(facts_of, parts), Facts()).agrees(facts_of(made()))


@given(st.integers(0, ROWS - 1), st.sampled_from(["user_id", "name", "played_at", "score"]))
def test_another_value_is_no_true_copy(row: int, column: str) -> None:
    rows = made().to_pylist()
    value = rows[row][column]
    rows[row][column] = "missing before" if value is None else None
    changed = pa.RecordBatch.from_pylist(rows, schema=made().schema)
    assert not facts_of(changed).agrees(facts_of(made()))


@pytest.mark.parametrize("order", [[*range(ROWS), 7], list(range(1, ROWS))], ids=["twice", "lost"])
def test_a_row_too_many_or_too_few_is_no_true_copy(order: list[int]) -> None:
    assert not facts_of(made().take(pa.array(order))).agrees(facts_of(made()))


def test_both_kinds_of_result_hold_the_rows(tmp_path: Path) -> None:
    s3: Any = FolderS3(tmp_path)
    csv, csv_facts = athena_output.write_csv(ROWS, tmp_path, s3)
    unload, unload_facts = athena_output.write_unload(ROWS, tmp_path, s3)
    text = (tmp_path / csv.output_location.removeprefix("s3://")).read_bytes()
    read = pa.Table.from_batches(read_csv([text], made().schema, about="q"))
    files = sorted((tmp_path / "results" / "unloaded" / unload.id).iterdir())
    assert read.equals(pa.Table.from_batches([made()]))
    assert pq.read_table(files[0], coerce_int96_timestamp_unit="ms").equals(read)
    assert csv_facts == unload_facts == facts_of(made())
    assert facts_of_files(files) == csv_facts


def test_ours_is_compared_with_the_best_other_round_by_round() -> None:
    figures = {"ours": [2.0, 4.0, 9.0], "slow": [10.0, 10.0, 10.0], "fast": [4.0, 4.0, 30.0]}
    row = compared("name", "seconds", "ours", ["slow", "fast"], figures, 0.6)
    assert (row.ours, row.others, row.ratio) == (4.0, {"slow": 10.0, "fast": 4.0}, 0.5)
