"""What the tests share: services, an account, no way out of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import hypothesis
import pytest
import pytest_socket

from local_athena import LocalAws
from local_athena.athena import results
from local_athena.athena.catalog import Table
from local_athena.athena.dialect import parse
from local_athena.athena.engine import Engine
from local_athena.athena.errors import QueryFailed
from local_athena.athena.translate import translate, with_place
from tests.account import Account

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]

os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# How long an example takes depends on the machine more than on the code.
hypothesis.settings.register_profile(
    "repository", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("repository")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-golden",
        action="store_true",
        help="write docs/functions.md instead of comparing it",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def compute(engine: Engine) -> Callable[..., str]:
    """Runs a query without tables and gives its CSV, without the header."""

    def no_table(database: str, name: str) -> Table:
        raise QueryFailed(
            "TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{database}.{name}' does not exist"
        )

    def compute(sql: str, *parameters: str) -> str:
        statement = parse(sql, parameters)
        translation = translate(statement, SimpleNamespace(table=no_table), "db")
        batches = engine.run(translation.sql, {})
        try:
            return b"".join(bytes(results.csv_rows(b, translation.types)) for b in batches).decode()
        except QueryFailed as error:
            raise with_place(error, statement) from error

    return compute


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start() as aws:
        yield aws


@pytest.fixture
def account(aws: LocalAws) -> Account:
    """A new account: what other tests left is gone."""
    aws.reset()
    return Account(aws)
