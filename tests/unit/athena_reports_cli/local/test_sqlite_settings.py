"""What makes Airflow dependable on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine

from athena_reports_cli.local.sqlite_settings import begin_as_writer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path}/airflow.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    yield engine
    engine.dispose()
    event.remove(Engine, "savepoint", begin_as_writer)  # which the import has added


def can_write(engine: Engine) -> bool:
    """Whether another connection could write now."""
    with sqlite3.connect(str(engine.url.database), timeout=0) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.rollback()
        return True


def test_a_transaction_that_opens_with_a_savepoint_is_the_writer_from_then_on(
    engine: Engine,
) -> None:
    """One that reads first could not write any more once somebody else has written."""
    with engine.connect() as connection:
        connection.execute(text("SELECT * FROM runs"))
        assert can_write(engine)
        with connection.begin_nested():
            assert not can_write(engine)
            connection.execute(text("INSERT INTO runs VALUES (1)"))
            with connection.begin_nested():  # within a transaction
                connection.execute(text("INSERT INTO runs VALUES (2)"))
        connection.commit()
        assert can_write(engine)
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 2


def test_on_another_database_nothing_is_done() -> None:
    elsewhere: Any = SimpleNamespace(
        dialect=SimpleNamespace(driver="psycopg2"),
        connection=SimpleNamespace(dbapi_connection=object()),
    )
    begin_as_writer(elsewhere, None)
