"""docs/tutorial.md, walked as it is written: its files are saved, its commands typed,
and they say what it shows.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from athena_reports_cli.local.services import Services
from demo.flights import read_flights
from tests.support.code_blocks import Block, blocks_of, commands_of, files_of
from tests.support.live_airflow import all_finished
from tests.support.local_athena import run_sql
from tests.support.paths import ROOT
from tests.support.repository_copy import SHELL, airflow_up, copy_repository

PAGE = ROOT / "docs" / "tutorial.md"
NEW_YORK = ZoneInfo("America/New_York")
DAG_ID = "late_destinations_weekly"
WEEKS = ("2013-11-04", "2013-11-11", "2013-11-18", "2013-11-25")  # those that the page publishes
BACKFILL = "$ .venv/bin/athena-reports backfill"
NEEDS_AIRFLOW = re.compile(rf"^(\$ make up|{re.escape(BACKFILL)})\b", re.MULTILINE)
# What differs from machine to machine, and with the samples that are there.
VARYING = re.compile(r"\d+ DAGs?\b|[\d.]+ s\b")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = copy_repository(tmp_path / "reports")
    (root / ".venv").symlink_to(sys.prefix)
    return root


def walk(root: Path, variables: Mapping[str, str]) -> None:
    """Do what the page says until it publishes, beside local services that run already."""
    files = {block: path for path, block in files_of(PAGE)}
    walked = 0
    for block in blocks_of(PAGE):
        if block in files:
            save(root, files[block], block.text)
        elif block.language == "console" and not NEEDS_AIRFLOW.search(block.text):
            do(root, block, variables)
        walked += 1
    assert len(files) == 5
    assert walked > 10


def do(root: Path, block: Block, variables: Mapping[str, str]) -> None:
    """Type what a block types, and hold it against what it shows."""
    said = "".join(typed(root, command, variables) for command in commands_of(block))
    assert shown(block.text) <= shown(said), f"{block}\n{said}"


def save(root: Path, path: str, text: str) -> None:
    file = root / path.removeprefix("/")
    file.parent.mkdir(exist_ok=True)
    if text.startswith("report = Report("):  # a part of a file
        (old,) = re.findall(
            r"^report = Report\(\n.*?^\)\n", file.read_text(), re.MULTILINE | re.DOTALL
        )
        text = file.read_text().replace(old, text)
    file.write_text(text.replace("/tmp/", f"{root}/tmp/"))


def typed(root: Path, command: str, variables: Mapping[str, str]) -> str:
    done = run(root, command, variables)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def run(root: Path, command: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the page with the packages of the copy."""
    folders = ("plugins", "cli", "local_athena/src")
    path = ":".join(str(root / folder) for folder in folders)
    return subprocess.run(
        command.replace("/tmp/", f"{root}/tmp/"),
        shell=True,
        cwd=root,
        env=SHELL | {"PYTHONPATH": path} | variables,
        capture_output=True,
        text=True,
    )


def shown(text: str) -> set[str]:
    lines = (
        line.rstrip()
        for line in text.replace("\\\n", "").splitlines()
        if not line.startswith("$ ") and line != "..."
    )
    return {VARYING.sub("N", line) for line in lines}


def assert_published(services: Services) -> None:
    """What the page's query finds is what plain Python counts in the raw data."""
    late: Counter[tuple[str, str]] = Counter()
    starts = [datetime.fromisoformat(week).replace(tzinfo=NEW_YORK) for week in WEEKS]
    for row in read_flights().select(["dest", "arr_delay", "time_hour"]).to_pylist():
        local = row["time_hour"].replace(tzinfo=UTC).astimezone(NEW_YORK)
        if (
            starts[0] <= local < datetime(2013, 12, 2, tzinfo=NEW_YORK)
            and (row["arr_delay"] or 0) > 15
        ):
            late[
                max(start for start in starts if start <= local).date().isoformat(), row["dest"]
            ] += 1
    (query,) = (block.text for block in blocks_of(PAGE) if "report_dev" in block.text)
    rows = run_sql(query, services.athena, database="database_dev", workgroup="dev")
    best = sorted(late, key=lambda each: (-late[each], each[0]))[:3]
    assert [(row["period"], row["dest"], int(row["late"])) for row in rows] == [
        (*each, late[each]) for each in best
    ]


@pytest.mark.full
def test_the_tutorial_leads_to_a_published_report_in_the_airflow_that_it_starts(
    repository: Path,
) -> None:
    with airflow_up(repository) as (client, variables):
        walk(repository, variables)
        while DAG_ID not in {row["dag_id"] for row in client.rows("/api/v2/dags", "dags")}:
            time.sleep(0.5)
        assert client.runs(DAG_ID) == []  # nothing is scheduled after the report's last date
        (backfill,) = (block for block in blocks_of(PAGE) if BACKFILL in block.text)
        do(repository, backfill, variables)
        runs = client.wait_for_runs(
            DAG_ID, until=lambda runs: len(runs) == 4 and all_finished(runs), timeout_seconds=300
        )
        assert {run.state for run in runs} == {"success"}
        assert_published(Services(variables["AWS_ENDPOINT_URL"]))
        case = repository / "tests" / "reports" / "late_destinations" / "bounds" / "arrivals.csv"
        case.write_text(case.read_text().replace("BOS,16", "BOS,15"))  # as the page suggests
        done = run(repository, ".venv/bin/athena-reports test late_destinations", variables)
        assert done.returncode == 1
        assert re.search("expected │ BOS.*found    │ BOS", done.stdout, re.DOTALL)
