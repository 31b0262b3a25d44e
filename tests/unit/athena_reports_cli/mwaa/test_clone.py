"""The guide in a clone of this repository, which itself is deployed nowhere.

Whoever deploys from a repository of their own commits their `deploy/samconfig.toml`, and deletes
this file.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.mwaa.config import CONFIG
from tests.support.paths import ROOT
from tests.support.repository_copy import make
from tests.support.wheel_files import carry_small_wheel
from tests.unit.athena_reports_cli.mwaa.repository import BUCKET, REGION
from tests.unit.athena_reports_cli.mwaa.stub import StubAws

QUESTIONS = (
    "AWS region",
    "ARNs of what the queries read",
    "Address that alerts are sent to",
    "Two private subnets",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What somebody gets who clones this repository."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


@pytest.mark.parametrize("answered", range(len(QUESTIONS)))
def test_the_guide_asks_and_deploys_nothing_until_it_has_all_answers(
    stub: StubAws, bucket: Any, clone: Path, answered: int
) -> None:
    carry_small_wheel(clone)
    answers = [REGION, "arn:aws:s3:::my-lake,arn:aws:s3:::my-lake/*", ""][:answered]
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    typed = "".join(f"{answer}\n" for answer in answers)
    done = make(clone, "deploy-guided", "ENV=stg", "SAM=", "LAKES=", typed=typed, **variables)

    assert done.returncode == 2
    asked = [question for question in QUESTIONS if question in done.stdout]
    assert asked == list(QUESTIONS[: answered + 1])
    assert f"The answers ended at: {QUESTIONS[answered]}" in done.stderr
    assert stub.operations == []
    assert bucket.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert not (clone / CONFIG).exists()


def test_its_environments_set_nothing_before_somebody_decides_it(clone: Path) -> None:
    """All that a deployment needs is what the stack gives."""
    files = {file.stem: file for file in (clone / "deploy" / "environments").iterdir()}
    assert files.keys() == {"dev", "stg", "prd"}
    for environment, file in files.items():
        assert file.suffix == ".env"
        lines = file.read_text().splitlines()
        assert all(line.startswith("#") for line in lines)
        assert f"ATHENA_REPORTS_ENV={environment} " in lines[0]
        assert lines[-1] == f"# ATHENA_REPORTS_POOL=athena_{environment}"


def test_whoever_deploys_can_commit_where_to(clone: Path) -> None:
    (clone / CONFIG).write_text("version = 0.1\n")
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    done = subprocess.run(status, cwd=clone, check=True, capture_output=True, text=True)
    assert done.stdout == f"?? {CONFIG}\n"
