"""What the containers of the compose file run once."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from airflow_local import compose

LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080"}
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080",
    "ATHENA_REPORTS_ENV": "stg",
    "ATHENA_REPORTS_BUCKET": "acme-reports",
    "ATHENA_REPORTS_QUERY_RESULTS": "s3://acme-results/",
}
PLACES = ("--database=postgres:5432/airflow", "--broker=redis:6379/0")


def write(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    assert compose.main(["secrets", str(folder), *PLACES]) == 0
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_volume_has_secrets_of_its_own(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    assert set(one) == set(other)
    assert not [name for name in one if one[name] == other[name]]
    assert all(not text.endswith("\n") for name, text in one.items() if name != "redis.conf")
    assert len(one["jwt-secret"]) >= 64  # bytes, what HS512 asks for
    Fernet(one["fernet-key"])


def test_what_is_derived_holds_the_same_secret(tmp_path: Path) -> None:
    found = write(tmp_path)
    password, broker = found["database-password"], found["broker-password"]
    assert found["database-url"] == f"postgresql+psycopg2://airflow:{password}@postgres:5432/airflow"
    assert found["broker-url"] == f"redis://:{broker}@redis:6379/0"
    assert f"requirepass {broker}\n" in found["redis.conf"]
    assert found["admin-password"] in found["passwords.json"]


@pytest.mark.parametrize("lost", ["broker-url", "passwords.json", "fernet-key"])
def test_a_start_that_was_interrupted_is_completed(tmp_path: Path, lost: str) -> None:
    before = write(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / f"{lost}.partial").write_text("half")
    after = write(tmp_path)
    assert set(after) == set(before)
    assert {name for name in before if before[name] != after[name]} <= {"fernet-key"}


def test_a_volume_of_somebody_else_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compose.main(["secrets", str(tmp_path / "missing"), *PLACES]) == 1
    assert "docker compose down --volumes" in capsys.readouterr().err


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `airflow` that notes how it was called, and fails if there is a file `fail`."""
    program, calls = tmp_path / "airflow", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\ntest ! -e {tmp_path / "fail"}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return calls


@pytest.mark.parametrize("environment", [LOCAL, ACCOUNT])
def test_the_database_is_migrated(airflow: Path, environment: dict[str, str]) -> None:
    compose.migrate(environment)
    assert airflow.read_text() == "db migrate\n"


@pytest.mark.parametrize("missing", [*ACCOUNT][:3] + [*ACCOUNT][4:])
@pytest.mark.parametrize("endpoint", [{}, {"AWS_ENDPOINT_URL": ""}])
def test_what_an_account_needs_is_named_before_anything_starts(
    airflow: Path, missing: str, endpoint: dict[str, str]
) -> None:
    with pytest.raises(compose.ComposeError, match=missing):
        compose.migrate(ACCOUNT | endpoint | {missing: ""})
    assert not airflow.exists()


def test_a_misspelt_setting_is_named_before_anything_starts(airflow: Path) -> None:
    with pytest.raises(compose.ComposeError, match="ATHENA_REPORTS_BUKET"):
        compose.migrate(LOCAL | {"ATHENA_REPORTS_BUKET": "x"})
    assert not airflow.exists()


def test_a_migration_that_fails_ends_the_start(airflow: Path) -> None:
    airflow.with_name("fail").touch()
    with pytest.raises(compose.ComposeError, match="`airflow db migrate` ended with exit code 1"):
        compose.migrate(LOCAL)
    assert airflow.read_text() == "db migrate\n"


def test_it_says_which_aws_it_works_with() -> None:
    local, account = (
        compose.where_to_look(environment, Path("/secrets"), "http://127.0.0.1:4566")
        for environment in (LOCAL, ACCOUNT)
    )
    assert "http://127.0.0.1:4566" in local
    assert "AWS in eu-west-1" in account
    assert "4566" not in account
