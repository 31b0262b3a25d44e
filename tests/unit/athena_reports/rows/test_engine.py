import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from athena_reports.rows import engine as module
from athena_reports.rows.engine import DiskFullError, MemoryLimitError, open_engine
from tests.support.engines import new_engine

PLUGINS = Path(module.__file__).parents[2]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM read_csv('{inside}/../secret.csv')",
        "SELECT * FROM read_csv('{inside}/link.csv')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM glob('{outside}/*')",
        "COPY (SELECT 1) TO '{outside}/out.csv'",
        "ATTACH '{outside}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '10GB'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SELECT getenv('HOME')",
        "SELECT * FROM secret",
    ],
)
def test_a_transform_reaches_nothing_outside_its_folder(sql: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with new_engine() as opened:
        (opened.folder / "link.csv").symlink_to(secret)
        with pytest.raises(duckdb.Error):
            opened.connection.execute(sql.format(outside=tmp_path, inside=opened.folder)).fetchall()
    assert os.listdir(tmp_path) == ["secret.csv"]


def test_the_session_is_in_utc_and_keeps_the_order_on_one_thread() -> None:
    with new_engine() as opened:
        settings = ("TimeZone", "threads", "preserve_insertion_order", "memory_limit")
        query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in settings)
        assert opened.connection.execute(query).fetchall() == [("UTC", 1, True, "122.0 MiB")]


def test_the_folder_may_lie_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "link"))
    with new_engine() as opened:
        opened.connection.execute(f"COPY (SELECT 1 AS a) TO '{opened.folder}/a.csv'")
        assert opened.connection.execute(f"FROM '{opened.folder}/a.csv'").fetchall() == [(1,)]


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_engine("32MB") as opened:
        opened.connection.execute(
            "CREATE TEMP TABLE t AS SELECT range, md5(range::VARCHAR) FROM range(1_000_000)"
        )
        assert list((opened.folder / "spill").iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_needs_more_memory_names_the_setting() -> None:
    with (
        pytest.raises(
            MemoryLimitError, match=r"^Report 'plays', period .*ATHENA_REPORTS_MEMORY_LIMIT"
        ) as caught,
        new_engine() as opened,
    ):
        opened.connection.execute(
            "SELECT max(len(l)) FROM (SELECT list(range) AS l FROM range(100_000_000))"
        )
    assert "the rows need more memory than allowed: Out of Memory Error: " in str(caught.value)
    assert str(caught.value).endswith(
        ". Raise ATHENA_REPORTS_MEMORY_LIMIT, or process fewer rows at once in the transform."
    )
    assert "Possible solutions" not in str(caught.value)
    assert not caught.value.retryable


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    duckdb.IOException('IO Error: Could not write file "x": No space left on device\n\nAdvice'),
    duckdb.OutOfMemoryException(
        "Out of Memory Error: this limit was set by 'max_temp_directory_size'."
    ),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_says_what_to_do_and_may_pass(error: Exception) -> None:
    with (
        pytest.raises(DiskFullError, match=r"^Report 'plays', .*TMPDIR.*clear transform") as caught,
        new_engine(),
    ):
        raise error
    assert caught.value.retryable
    assert caught.value.__cause__ is error
    reason = str(error).partition("\n")[0].rstrip(".")
    assert str(caught.value).endswith(
        f": no space left on the worker's disk: {reason}. Free up space in"
        f" {tempfile.gettempdir()}, or"
        " set TMPDIR to a larger disk, then clear transform and its downstream tasks."
    )


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), duckdb.BinderException("no column x")]
)
def test_an_error_of_no_known_cause_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, new_engine():
        raise error
    assert caught.value is error


WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "pandas", "pyarrow", "polars"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Refuse())
from athena_reports.rows import checks, transforms
declared = [checks.unique("a"), checks.in_range("a", at_least=0), checks.change("a", within=1)]
declared += [checks.schema({"a": "bigint", "at": "timestamp with time zone", "b": "varchar"})]
steps = [
    transforms.each_row(lambda row: {**row, "b": "x"}, adds={"b": "varchar"}),
    lambda rows, period: rows.query("rows", "SELECT * FROM rows ORDER BY a DESC"),
]
assert "duckdb" not in sys.modules and "boto3" not in sys.modules
from athena_reports.rows.athena_csv import read_csv
from athena_reports.rows.engine import open_engine
from athena_reports.rows.differences import find_differences
from athena_reports.rows.writer import write_file, write_table
with open_engine("64MB") as engine:
    path = engine.folder / "x.csv"
    path.write_text('"a","at"\\n"1","2026-11-24 21:00:00.000 Asia/Tokyo"\\n"2",\\n')
    columns = {"a": "BIGINT", "at": "TIMESTAMP WITH TIME ZONE"}
    rows = read_csv(path, columns, engine)
    table = write_table(transforms.apply(steps, rows, None, engine), engine)
    assert all(found.passed for found in checks.run_checks(declared, table, engine))
    files = [write_file(table, form, engine) for form in ("parquet", "csv", "jsonl")]
    twice = [table.path, table.path, table.columns, table.columns]
    assert find_differences(*twice, ["a"], engine).is_empty
    print(files[2].path.read_text(), end="")
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_room_needs_neither_numpy_nor_pandas_nor_pyarrow_whatever_the_machines_zone(
    zone: str,
) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={"PYTHONPATH": str(PLUGINS), "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.stdout, answer.stderr) == (
        '{"a":2,"at":null,"b":"x"}\n{"a":1,"at":"2026-11-24T12:00:00.000Z","b":"x"}\n',
        "",
    )
