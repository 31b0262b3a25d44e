"""What the demo's lakes are filled with; tests/services/test_lake.py looks at their rows."""

from __future__ import annotations

import datetime as dt
from itertools import count
from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from demo import plays, seed
from demo.lake import keep_table

SPEC = plays.PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 1, 3), events=40, users=10)
_numbers = count()


@pytest.fixture
def environment() -> str:
    """An environment that nothing is prepared for."""
    return f"seeded{next(_numbers)}"


def without_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the year of flights, which takes seconds."""
    monkeypatch.setattr(seed, "seed_flights", lambda _, environment: f"flown in {environment}")


def tables(services: Services, environment: str) -> dict[str, str]:
    """The bucket and key prefix of each table's files."""
    found = services.glue.get_tables(DatabaseName=f"database_{environment}")["TableList"]
    return {table["Name"]: table["StorageDescriptor"]["Location"] for table in found}


def test_the_lakes_are_those_of_the_demo_and_the_tables_that_were_loaded(
    running_services: Services, environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_flights(monkeypatch)
    kept = tmp_path / ".lake"
    for table in ("plays", "flights", "ours"):
        keep_table(kept, table, plays.SCHEMA, plays.generate(SPEC))
    monkeypatch.setattr(seed, "ROOT", tmp_path)
    lines: list[str] = []
    seed.fill(running_services, environment, lines.append, SPEC)
    assert lines[0].startswith("lake of plays: 40 rows, 2 partitions, ")
    assert lines[1:] == [
        f"lake of flights: flown in {environment}",
        "table ours, from .lake/: 40 rows, 2 partitions, 2025-01-01 to 2025-01-02",
    ]
    # The kept ones of the demo may end before those that it has written.
    found = tables(running_services, environment)
    assert found.keys() == {"plays", "ours"}
    assert found["plays"] == f"s3://athena-lake-{environment}/plays/"
    assert found["ours"].startswith(f"s3://athena-lake-{environment}/ours/")


@pytest.mark.parametrize("endpoint", [None, ""])
def test_without_an_endpoint_nothing_is_filled_and_that_is_no_success(
    endpoint: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert seed.main() == 2
    assert capsys.readouterr().out == (
        "AWS_ENDPOINT_URL is not set: start `.venv/bin/local-athena serve` and set it to the"
        " address it prints.\n"
    )


def test_the_services_of_the_endpoint_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker Compose runs it so."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://local-aws:4566")
    filled = []

    def fill(services: Services, environment: str, progress: object) -> None:
        filled.append((services.endpoint_url, environment, progress))

    monkeypatch.setattr(seed, "fill", fill)
    assert seed.main() == 0
    assert filled == [("http://local-aws:4566", "dev", print)]
