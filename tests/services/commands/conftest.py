"""A project whose commands the tests type."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from tests.services.commands.project import (
    DAYS,
    ENVIRONMENT,
    WEEKS,
    Account,
    Project,
    write_files,
    write_lake,
)
from tests.support.dag_files import load_dags
from tests.support.task_runner import run_dag
from tests.support.variables import reaching


@pytest.fixture(scope="session")
def published_shop(running_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The account with the lake of the project, and what its runs have published of it."""
    root = tmp_path_factory.mktemp("shop")
    write_files(root)
    running_services.prepare(ENVIRONMENT)
    write_lake(running_services)
    sql = str(root / "include" / "sql")
    with reaching(running_services, ATHENA_REPORTS_ENV=ENVIRONMENT, ATHENA_REPORTS_SQL_FOLDER=sql):
        dags = load_dags(root / "dags" / "shop.py") | load_dags(root / "dags" / "audit.py")
        for week in WEEKS:
            run_dag(dags["items_weekly"], period=week)
        for day in DAYS:
            run_dag(dags["stores_daily"], period=day)
        run_dag(dags["audit_weekly"], period=WEEKS[1])
    account = Account(running_services)
    account.new_queries()
    account.changed_objects()
    return account


@pytest.fixture
def shop(
    published_shop: Account,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    """The project as its runs had it, in a folder of the test's own."""
    root = tmp_path / "shop"
    write_files(root)
    return Project(root, published_shop, monkeypatch, capsys)
