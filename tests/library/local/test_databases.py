"""The PostgreSQL of a machine that has several; tests/e2e starts a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports.local import databases
from athena_reports.local.databases import postgresql


def test_the_newest_postgresql_is_started_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9", "17", "16"):
        control = tmp_path / version / "bin" / "pg_ctl"
        control.parent.mkdir(parents=True)
        control.write_text(f'#!/bin/sh\necho "{version} $1 $4" >> {tmp_path}/calls\n')
        control.chmod(0o755)
    monkeypatch.setattr(databases, "_DEBIAN", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with postgresql() as server:
        url = server.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        folder = Path(url.partition("?host=")[2])
        assert folder.is_dir()
        server.restart()
    calls = [line.split()[:2] for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls == [["17", "init"], ["17", "start"], ["17", "restart"], ["17", "stop"]]
    assert not folder.exists()
