"""What authors get wrong is reported before anything is paid, and what is right is not.

The lists were written before the dry run, by people who had read the docs alone.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.settings import settings
from athena_reports_cli.authoring.init import write_project
from athena_reports_cli.authoring.new import NewReport
from athena_reports_cli.authoring.rules import check as command
from athena_reports_cli.authoring.rules.check import Checked, check
from athena_reports_cli.authoring.source_tables import TableSchema, write_tables
from athena_reports_cli.local.project import find_project
from tests.support.shell import Shell
from tests.support.variables import kept_environment

if TYPE_CHECKING:
    from athena_reports_cli.local.services import Services

BY_PREVIEW = {"format-of-another-partition-key", "transform-drops-a-column"}
"""What only a look at the partitions, or at the file's line of a transform, reports."""
LISTS = Path(__file__).with_name("author_mistakes")
PLAYS = {
    "event_id": "string",
    "user_id": "bigint",
    "user_name": "string",
    "artist": "string",
    "score": "int",
    "price": "decimal(10,2)",
    "played_at": "timestamp",
    "is_premium": "boolean",
    "country": "string",
    "order": "string",
}
ARTISTS = {"artist": "string", "label": "string", "founded": "date", "listeners": "bigint"}
TABLES = {
    "plays": TableSchema(environment="dev", columns=PLAYS, partition_keys={"dt": "string"}),
    "artists": TableSchema(environment="dev", columns=ARTISTS),
}
DAG_FILE = '''"""
Artists, for Airflow.

**Schedule.** After each week.

**Input.** `plays`.

**Rerun.** At any time.

**Permissions.** Athena.
"""

from athena_reports import Column, Input, Report, build_dag, weekly

report = Report(
    name="top_artists",
    sql="top_artists.sql",
    owner="data",
    since="2025-06-01",
    params={{"top": 100}},
    inputs=[{inputs}],
    columns={{{columns}}},
    doc=__doc__,
)

weekly_dag = build_dag(report, weekly("monday", "UTC"))
'''


def entries(kind: str, *names: str) -> list[dict[str, Any]]:
    return [entry for name in names for entry in tomllib.loads((LISTS / name).read_text())[kind]]


MISTAKES = entries("mistake", "from_the_docs.toml", "from_practice.toml")
QUERIES = entries("query", "correct_from_the_docs.toml", "correct_from_practice.toml")

Check = Callable[[dict[str, str]], Checked]


@pytest.fixture(scope="module")
def check_files(
    running_services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Check]:
    """Checks a fresh project with some files in the place of its own; all share one engine."""

    @contextmanager
    def running(*_: Any, **__: Any) -> Iterator[Callable[[], str]]:
        yield lambda: running_services.endpoint_url

    work = tmp_path_factory.mktemp("mistakes")
    new_report = NewReport(
        name="top_artists",
        table="plays",
        ranked="artist",
        time="played_at",
        owner="data",
        since=date(2025, 6, 1),
    )
    with pytest.MonkeyPatch.context() as patch, kept_environment():
        patch.setattr(command, "starting_services", running)
        patch.setattr("athena_reports_cli.authoring.init.kept_wheels", list)
        patch.setattr("gc.disable", lambda: None)
        patch.setattr("sys.dont_write_bytecode", True)
        write_project(work / "fresh", new_report)
        write_tables(TABLES, work / "fresh")

        def check_files(files: dict[str, str]) -> Checked:
            root = work / "project"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(work / "fresh", root)
            for path, text in files.items():
                (root / path).write_text(text)
            settings.cache_clear()
            patch.chdir(root)
            with kept_environment():
                return check(find_project(root), renew=True)

        yield check_files
    settings.cache_clear()


def findings_of(checked: Checked) -> str:
    return "\n".join(finding for rule in checked.broken for finding in rule.findings)


def is_reported(mistake: dict[str, Any], findings: str) -> bool:
    """Whether the findings have the line of the mistake and its names."""
    expected = mistake["expected"]
    lines = mistake["content"].splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if expected["line_of"] in text]
    place = rf"{Path(mistake['file']).name}(,|:) line {line}\b"
    names_all = all(name.lower() in findings.lower() for name in expected["names"])
    return names_all and re.search(place, findings) is not None


def files_of(mistake: dict[str, Any]) -> dict[str, str]:
    files = {mistake["file"]: mistake["content"]}
    return files | {also["file"]: also["content"] for also in mistake["also"]}


@pytest.fixture
def preview(
    services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Path], tuple[int, str]]:
    """Previews a week of the report of a project, whose tables are in Glue."""
    database = "author_mistakes"
    services.glue.create_database(DatabaseInput={"Name": database})
    for name, table in TABLES.items():
        descriptor: Any = parquet_descriptor(
            table.columns, f"s3://athena-lake-dev/{database}/{name}/"
        )
        keys: Any = [{"Name": key, "Type": kind} for key, kind in table.partition_keys.items()]
        table_input: Any = {"Name": name, "StorageDescriptor": descriptor, "PartitionKeys": keys}
        services.glue.create_table(DatabaseName=database, TableInput=table_input)
    for day in range(1, 31):
        partition: Any = {"Values": [f"2025-06-{day:02}"], "StorageDescriptor": descriptor}
        services.glue.create_partition(
            DatabaseName=database, TableName="plays", PartitionInput=partition
        )
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", database)

    def preview(root: Path) -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(root / "dags"))
        monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(root / "include" / "sql"))
        settings.cache_clear()
        return Shell(monkeypatch, capsys)("preview", "top_artists", "2025-06-02")

    return preview


def test_mistakes_are_reported_with_line_and_name_by_check_alone_or_else_by_preview(
    check_files: Check, preview: Callable[[Path], tuple[int, str]], tmp_path: Path
) -> None:
    others = []
    not_validated: list[str] = []
    for mistake in MISTAKES:
        checked = check_files(files_of(mistake))
        not_validated += checked.not_validated
        if not is_reported(mistake, findings_of(checked)):
            others.append(mistake)
    assert len(MISTAKES) == 40
    assert {mistake["name"] for mistake in others} == BY_PREVIEW
    assert not_validated == []
    for mistake in others:
        root = tmp_path / mistake["name"]
        (root / "dags").mkdir(parents=True)
        (root / "include" / "sql").mkdir(parents=True)
        (root / "pyproject.toml").write_text("[tool.athena-reports]\n")
        for path, text in files_of(mistake).items():
            (root / path).write_text(text)
        code, printed = preview(root)
        assert code == 1 or " missing in Glue" in printed
        assert all(name in printed for name in mistake["expected"]["names"]), printed


def test_correct_queries_have_no_finding(check_files: Check) -> None:
    files = {}
    for number, query in enumerate(QUERIES):
        sql = query["sql"]
        inputs = []
        if "plays" in sql:
            previous = ", previous=True" if "period.previous" in sql else ""
            last_year = ", last_year=True" if "period.last_year" in sql else ""
            inputs.append(f'Input("plays", "dt"{previous}{last_year})')
        if "artists" in sql:
            inputs.append('Input("artists", ())')
        columns = [f'"{name}": Column("{kind}", "it")' for name, kind in query["columns"].items()]
        report = f"correct_{number}"
        dag_file = DAG_FILE.format(inputs=", ".join(inputs), columns=", ".join(columns))
        files[f"dags/{report}.py"] = dag_file.replace("top_artists", report)
        files[f"include/sql/{report}.sql"] = sql
    checked = check_files(files)
    assert len(QUERIES) == 60
    assert (findings_of(checked), checked.not_validated) == ("", ())
