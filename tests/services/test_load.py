"""`load`: a file becomes a table that Athena reads, and that later services have again."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from athena_reports_cli.authoring.load import Source, load
from athena_reports_cli.local import restore
from athena_reports_cli.local.lake import Lake
from athena_reports_cli.local.services import Services
from tests.support.local_athena import run_sql
from tests.support.shell import Shell

START = datetime(2026, 3, 1, 13, 30, 0, 999_600, tzinfo=UTC)
# An event each seven hours: some of the dates of Tokyo are others than those of UTC.
EVENTS = [(f"u{n % 3}", START + timedelta(hours=7 * n), n) for n in range(20)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is run in."""
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def naive(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")


def write_csv(file: Path) -> Path:
    """Write the events as CSV."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "Played At", "score"])
        writer.writerows((user, naive(when), score) for user, when, score in EVENTS)
    return file


def rows_of(services: Services, sql: str, database: str = "database_dev") -> list[dict[str, str]]:
    return run_sql(sql, services.athena, database=database, workgroup="dev")


def per_date(services: Services, table: str, database: str = "database_dev") -> dict[str, int]:
    """The rows of each partition, as Athena finds them."""
    sql = f"SELECT dt, COUNT(*) AS n FROM {table} GROUP BY dt"
    return {row["dt"]: int(row["n"]) for row in rows_of(services, sql, database)}


def dates(zone: str = "UTC") -> Counter[str]:
    return Counter(when.astimezone(ZoneInfo(zone)).date().isoformat() for _, when, _ in EVENTS)


@pytest.mark.parametrize(
    "name",
    [
        "odd [*] 'name'.CSV",
        f"e.{'x' * 249}.csv",
    ],
    ids=["odd name", "long name"],
)
def test_a_file_becomes_a_table_with_a_partition_for_each_date(
    name: str, folder: Path, shell: Shell, services: Services
) -> None:
    code, printed = shell("load", "formats", str(write_csv(folder / name)), "--time", "Played At")
    assert code == 0, printed
    assert per_date(services, "formats") == dates()
    days = sorted(dates())
    assert f"formats: 20 rows, {len(days)} partitions, {days[0]} to {days[-1]}\n" in printed
    declaration = 'Input("formats", "dt", format="%Y-%m-%d", zone="UTC")'
    assert f"In the report, use {declaration}\n" in printed
    sql = "SELECT user, played_at, score FROM formats ORDER BY played_at"
    found = [tuple(row.values()) for row in rows_of(services, sql)]
    # Athena's timestamps have milliseconds. What is below is cut off.
    assert found == [
        (user, when.strftime("%Y-%m-%d %H:%M:%S.") + "999", str(score))
        for user, when, score in EVENTS
    ]
    table = services.glue.get_table(DatabaseName="database_dev", Name="formats")["Table"]
    columns = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}
    assert columns == {"user": "string", "played_at": "timestamp", "score": "bigint"}


def test_without_a_time_a_table_has_no_partitions(
    folder: Path, shell: Shell, services: Services
) -> None:
    # A column may have the name that the partition key would have.
    (folder / "products.csv").write_text("id,name,dt\n007,Ülker,a\n008,,b\n")
    code, printed = shell("load", "products", "products.csv")
    assert code == 0, printed
    assert "products: 2 rows, no partitions\n" in printed
    assert 'Input("products", columns=())' in printed
    found = rows_of(services, "SELECT id, name, dt FROM products ORDER BY id")
    assert [tuple(row.values()) for row in found] == [("007", "Ülker", "a"), ("008", "", "b")]


def test_a_table_is_replaced_as_a_whole_and_a_file_that_fails_changes_nothing(
    folder: Path, shell: Shell, services: Services
) -> None:
    assert shell("load", "again", str(write_csv(folder / "a.csv")), "--time", "played_at")[0] == 0
    # The files of a table whose name begins like this one stay.
    assert shell("load", "again_2", str(folder / "a.csv"), "--time", "played_at")[0] == 0
    before = per_date(services, "again")
    (folder / "b.csv").write_text("at,n\n2030-01-01 00:00:00,1\n2030-01-01 00:00:00,2\nlater,3\n")
    code, printed = shell("load", "again", "b.csv", "--time", "at")
    assert code == 1
    assert "b.csv, row 3, column at: expected timestamp" in printed
    assert per_date(services, "again") == before
    assert {path.name for path in (folder / ".lake").iterdir()} == {"again", "again_2"}

    (folder / "b.csv").write_text("at,n\n2030-01-01 00:00:00,1\n2030-01-01 00:00:00,2\n")
    code, printed = shell("load", "again", "b.csv", "--time", "at")
    assert code == 0
    assert "\nRemoved columns: played_at, " in printed
    assert per_date(services, "again") == {"2030-01-01": 2}
    assert per_date(services, "again_2") == before
    (kept,) = (path for path in (folder / ".lake" / "again").iterdir() if path.is_dir())
    assert [path.name for path in kept.iterdir()] == ["dt=2030-01-01"]
    objects = services.s3.list_objects_v2(Bucket="athena-lake-dev", Prefix="again/")["Contents"]
    assert len(objects) == 1


class CallsBeforeReplacing:
    """A Glue that calls a function before a table is replaced."""

    def __init__(self, glue: Any, call: Callable[[], None]) -> None:
        self._glue = glue
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._glue, name)

    def delete_table(self, **arguments: Any) -> None:
        self._call()
        self._glue.delete_table(**arguments)


def test_a_table_has_its_files_until_it_is_replaced(folder: Path, services: Services) -> None:
    lake = Lake.of_shell()
    source = Source("kept_until", write_csv(folder / "a.csv"), time="played_at")
    load(source, lake, folder / ".lake")
    found = []
    looks = CallsBeforeReplacing(lake.glue, lambda: found.append(per_date(services, "kept_until")))
    load(source, replace(lake, glue=looks), folder / ".lake")
    assert found == [dates()]


def test_later_services_have_what_is_kept(
    folder: Path, shell: Shell, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell("load", "kept", str(write_csv(folder / "a.csv")), "--time", "played_at")[0] == 0
    (folder / "names.csv").write_text("id,name\n1,one\n")
    assert shell("load", "kept_names", "names.csv")[0] == 0
    (folder / "a.csv").unlink()

    for table in ("kept", "kept_names"):  # as in services that have just started
        services.glue.delete_table(DatabaseName="database_dev", Name=table)
    restore.main()
    assert per_date(services, "kept") == dates()
    assert rows_of(services, "SELECT name FROM kept_names") == [{"name": "one"}]
    printed = capsys.readouterr().out
    assert "table kept_names, from .lake/: 1 row, no partitions\n" in printed
