"""A small repository of the same form, and what it deploys to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.authoring.command_line import main
from tests.support.paths import ROOT
from tests.support.variables import kept_environment
from tests.support.wheel_files import keep_small_wheel

ACCOUNT, REGION = "123456789012", "us-east-1"
BUCKET = f"athena-reports-mwaa-stg-{ACCOUNT}-{REGION}"
LAKE = "arn:aws:s3:::lake,arn:aws:s3:::lake/*"


class Repository:
    """A repository in git, and what its commands print."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.write("dags/.airflowignore", "include/**\n")
        self.write("dags/plays.py", "# airflow dag\n")
        self.write("include/sql/plays.sql", "SELECT 1\n")
        self.write("plugins/library/__init__.py", "VERSION = 1\n")
        self.write("requirements.txt", "duckdb\n")
        self.write("pyproject.toml", "[tool.athena-reports]\n")
        self.write("deploy/environments/stg.env", "")
        self.write("deploy/environments/prd.env", "")
        self.configure()
        self.write(".gitignore", "/.venv-deploy\n/dist\n")
        keep_small_wheel(folder)
        (folder / ".venv-deploy").symlink_to(ROOT / ".venv-deploy")
        self.git("init", "--quiet")
        self.commit()

    def configure(self, environment: str = "stg", **parameters: str) -> None:
        """What `athena-reports deploy --guided` remembers."""
        parameters = {"Environment": environment, "SourceDataArns": LAKE} | parameters
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        name = f"athena-reports-{environment}"
        self.write(
            "deploy/samconfig.toml",
            f'version = 0.1\n[{environment}.deploy.parameters]\nstack_name = "{name}"\nregion ='
            f' "{REGION}"\ncapabilities = "CAPABILITY_IAM"\nparameter_overrides = {overrides}\n',
        )

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def git(self, *arguments: str) -> str:
        arguments = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments)
        return subprocess.run(
            arguments, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change")

    def deploy(
        self, *options: str, environment: str = "stg", code: int = 0, check: bool = False
    ) -> str:
        """Runs the command; returns what it and the SAM CLI print.

        `check` is whether the twin is checked, which the command does unless it is told not to.
        """
        unchecked = [] if check else ["--no-check"]
        return self.run("deploy", "--env", environment, *unchecked, *options, code=code)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Runs a command of `athena-reports`; returns what it and what it starts print."""
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setenv("COLUMNS", "200")
        self._monkeypatch.setattr(sys, "argv", ["athena-reports", *arguments])
        self._capfd.readouterr()
        with kept_environment(), pytest.raises(SystemExit) as ended:
            main()
        printed = "".join(self._capfd.readouterr())
        assert ended.value.code == code, printed
        assert "Traceback" not in printed
        return printed


def keys(s3: Any) -> dict[str, bytes]:
    """What is below dags/ in the bucket."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="dags/"):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            found[key] = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return found
