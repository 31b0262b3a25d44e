"""What all tests share: a folder in memory, an Airflow home of their own, no way out of this
machine, settings read afresh.

Airflow reads its configuration when it is imported, so its variables are set here, before any test
module is collected. Each process of pytest-xdist has a home of its own.
"""

from __future__ import annotations

import datetime as dt
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psutil
import pytest
import pytest_socket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from playwright.sync_api import Browser

    from athena_reports_cli.local.services import Services
    from demo.plays import PlaysSpec
    from tests.support.flown import Flown
    from tests.support.shell import Shell

REPOSITORY = Path(__file__).resolve().parents[1]


def _dead_endpoint() -> str:
    """An address at which nobody listens: a call that a test forgot to answer fails at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


_ROOM_BYTES = 6 << 30
"""`make test-ci` writes some GB. In a container, /dev/shm has 64 MB by default."""


def _write_into_memory() -> None:
    """Let tests write into memory if it has room, since they would wait for the disk.

    TMPDIR names another folder.
    """
    memory = "/dev/shm"
    if "TMPDIR" in os.environ or not os.path.isdir(memory):
        return
    mount = os.statvfs(memory)
    free_bytes = min(mount.f_bavail * mount.f_frsize, psutil.virtual_memory().available)
    # Tests execute programs that they write.
    if free_bytes >= _ROOM_BYTES and not mount.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = memory  # also for what is started from here
        tempfile.tempdir = None  # is found anew


_write_into_memory()
_HOME = Path(tempfile.mkdtemp(prefix="athena-reports-tests-"))

for _name in [
    name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "ATHENA_REPORTS_"))
]:
    del os.environ[_name]

os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME / 'airflow.db'}",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "ap-northeast-1",
    "AWS_ENDPOINT_URL": _dead_endpoint(),
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# A shell has Ctrl-C ignored for what it runs in the background, `nohup` has SIGHUP ignored, and
# processes that are started from here would inherit that. Here both are as in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How many examples a property test tries: few while one works, many in CI, and more at night
# (`pytest --hypothesis-profile=many`). How long an example takes depends on the machine.
for _profile, _examples in {"few": 15, "many": 50, "night": 500}.items():
    hypothesis.settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,
        derandomize=_profile != "night",  # each night tries others
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("few")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-golden",
        action="store_true",
        help="write the generated pages of docs/reference instead of comparing them",
    )


# All tests of these folders are marked `ci`: they run against the local services as a process.
_FOLDERS_OF_CI = {REPOSITORY / "tests" / name for name in ("services", "compatibility")}
# So are those of these fixtures: each process of a run has services and lakes of its own.
_LAKES = {"flights_lake", "plays_lake"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_in_folder = not _FOLDERS_OF_CI.isdisjoint(item.path.parents)
        if is_in_folder or not _LAKES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("ci")


def pytest_collection_finish() -> None:
    """Write no bytecode from here on, and let the garbage collector pass over what is imported.

    Nobody edits what is imported until here, and it stays in memory to the end. Tests edit a file
    and import it again within a second. Python tells bytecode from another one by the second in
    which its source was written, and by its length.
    """
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # of what is started from here
    gc.collect()
    gc.freeze()
    # Tests make few reference cycles. With the usual threshold, to look for them takes 5 % of the
    # time.
    gc.set_threshold(50_000)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    # pytest has just looked for errors in what is left, and would look once more.
    gc.freeze()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session", autouse=True)
def _cheap_clients() -> Iterator[None]:
    """Most of the time that clients of AWS take to be made tells nothing of our code.

    For the user agent, the provider would walk the stack for the name of the caller, and load all
    providers for its own version.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from tests.support import botocore_caches

    with pytest.MonkeyPatch.context() as patch:
        botocore_caches.keep(patch)
        patch.setattr(AwsGenericHook, "_get_caller", lambda *_: "Unknown")
        patch.setattr(AwsGenericHook, "_get_provider_version", lambda *_: "Unknown")
        yield


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Settings are read once per process; a test that changes the variables must not leak them."""
    from athena_reports.settings import settings

    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _logged_warnings() -> Iterator[None]:
    """Warnings are logged again: the command line turns them off for its process, which goes on."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def sql_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQL folder of the test's own; it holds `plays.sql`, a template that is right."""
    folder = tmp_path / "sql"
    folder.mkdir()
    (folder / "plays.sql").write_text(
        "SELECT user_id FROM plays"
        ' WHERE {{ period.partitions("dt") }} AND {{ period.contains("at") }}\n'
    )
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(folder))
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 that runs in this process."""
    from tests.moto_server import moto_server

    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def new_s3_client(s3_endpoint: str) -> Callable[[], S3Client]:
    """Makes clients of that S3; one that breaks belongs to one test."""
    import boto3
    from botocore.config import Config

    def new() -> S3Client:
        session = boto3.session.Session()
        # More connections than the racers of any test.
        return session.client(
            "s3", endpoint_url=s3_endpoint, config=Config(max_pool_connections=32)
        )

    return new


@pytest.fixture(scope="session")
def s3(new_s3_client: Callable[[], S3Client]) -> S3Client:
    """A client of that S3."""
    return new_s3_client()


_bucket_numbers = count(1)


@pytest.fixture
def bucket(s3: S3Client) -> str:
    """A new and empty bucket."""
    name = f"bucket-{next(_bucket_numbers)}"
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    return name


@pytest.fixture(scope="session")
def running_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The local services, prepared for the environment dev."""
    from athena_reports_cli.local.services import local_services

    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as services:
        services.prepare("dev")
        yield services


@pytest.fixture
def services(running_services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services, reached as any AWS client reaches them: by the environment's endpoint."""
    for name, value in running_services.environment.items():
        monkeypatch.setenv(name, value)
    return running_services


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.support.browser import launch

    with sync_playwright() as playwright, launch(playwright) as running:
        yield running


@pytest.fixture(scope="session")
def flights_lake(running_services: Services) -> None:
    from demo.lake import seed_flights

    seed_flights(running_services, "dev")


@pytest.fixture(scope="session")
def plays_lake(running_services: Services) -> PlaysSpec:
    from demo.lake import seed_plays
    from demo.plays import PlaysSpec

    spec = PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 7, 2), events=40_000, users=2_000, seed=11)
    seed_plays(running_services, "dev", spec)
    return spec


@pytest.fixture
def dags_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reports of the tests; those in dags/ are samples, which a team replaces by its own."""
    from tests.support.reports import DAGS, SQL

    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(SQL))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(DAGS))
    return DAGS


@pytest.fixture
def shell(
    services: Services,
    dags_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """The shell of an author, beside the local services."""
    from tests.support.shell import Shell

    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def published_weeks(
    running_services: Services, flights_lake: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The published weeks of the report `flown`; nothing publishes them again."""
    from tests.support.dag_files import load_dags
    from tests.support.flown import DAG_ID, WEEKS, write
    from tests.support.task_runner import run_dag
    from tests.support.variables import reaching

    root = tmp_path_factory.mktemp("published") / "flown"
    write(root)
    with reaching(running_services, ATHENA_REPORTS_SQL_FOLDER=str(root / "sql")):
        dag = load_dags(root / "dags" / "flown.py")[DAG_ID]
        for week in WEEKS:
            run_dag(dag, period=week)


@pytest.fixture
def flown(
    services: Services,
    published_weeks: None,
    dags_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Flown:
    """A folder with the report `flown`, which `shell` looks at too."""
    from tests.support.flown import Flown, write

    root = tmp_path / "flown"
    write(root)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(root / "dags"))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(root / "sql"))
    return Flown(root, services)
