"""PostgreSQL and Redis that are not there, or there twice, and settings that cannot work together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_local import databases
from airflow_local.databases import DatabaseError, Postgresql, Redis
from airflow_local.runtime import AirflowConfig


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where PostgreSQL's versions are looked for, beside a PATH with nothing on it."""
    folder = tmp_path / "postgresql"
    monkeypatch.setattr(databases, "_DEBIAN", folder)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return folder


@pytest.mark.usefixtures("debian")
def test_what_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"`initdb` is not on the PATH.*apt-get install postgresql"):
        Postgresql.create(5432, None)
    with pytest.raises(DatabaseError, match=r"`redis-server` is not on the PATH.*apt-get install redis-"):
        Redis.create(tmp_path, 6379)


def test_the_latest_version_of_postgresql_is_taken(debian: Path, tmp_path: Path) -> None:
    for version in ("9.6", "15", "14"):
        program = debian / version / "bin" / "postgres"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    command = Postgresql(tmp_path, 5432, is_copy=False).command
    assert command[0] == str(debian / "15" / "bin" / "postgres")


def test_the_brokers_password_is_in_its_configuration_that_only_its_owner_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    redis = Redis.create(tmp_path, 6379)
    configuration = tmp_path / "redis.conf"
    assert redis.command == (str(program), str(configuration))
    assert f"requirepass {redis.password}\n" in configuration.read_text()
    assert redis.password in redis.url
    assert configuration.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"celery_workers": 2}, "celery_workers need database='postgresql'"),
        (
            {"database": "postgresql", "database_url": "postgresql://elsewhere/airflow"},
            "leave out database='postgresql'",
        ),
    ],
)
def test_settings_that_cannot_work_together_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AirflowConfig(home=tmp_path, dags_folder=tmp_path, **settings)
