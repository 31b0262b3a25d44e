"""The twin with images and packages of the test's own:
real virtual environments, a real uv and a real pip, no index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa import twin as module
from athena_reports_cli.mwaa.twin import Twin, build_twin
from tests.support.wheel_files import write_wheel

CONSTRAINED = '--constraint "/usr/local/airflow/dags/constraints.txt"\n'
HOME = "/usr/local/airflow"
PLUGINS = f"{HOME}/plugins"
Build = Callable[..., Twin]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels: `celery`, an essential package, and `extra`,
    both in versions 1.0 and 2.0.
    """
    folder = tmp_path / "index"
    for name in ("celery", "extra"):
        for version in ("1.0", "2.0"):
            write_wheel(folder, name, version)
    return folder


@pytest.fixture
def served_index(index: Path) -> Iterator[str]:
    """The address of a server that has the same wheels."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(index))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that is copied, because to make one takes seconds."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    return folder / "venv"


@pytest.fixture
def build(environment: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds a twin of an image that has celery 1.0, with a bundle of the given parts."""

    def copy(_python: str, twin: Twin) -> None:
        shutil.rmtree(twin.folder / "venv", ignore_errors=True)
        shutil.copytree(environment, twin.folder / "venv", symlinks=True)

    monkeypatch.setattr(module, "make_environment", copy)
    monkeypatch.setattr(module, "PACKAGES", f"--no-index --find-links={index} celery==1.0")

    def build(
        requirements: str,
        *,
        shipped: str = "",
        plugin: str = "",
        startup: str = "",
        carried: Sequence[Path] = (),
        constraints: str = "none",
    ) -> Twin:
        bundle = tmp_path / "bundle"
        (bundle / "dags").mkdir(parents=True, exist_ok=True)
        (bundle / "dags" / "constraints.txt").write_text(shipped)
        with zipfile.ZipFile(bundle / "plugins.zip", "w") as plugins:
            plugins.writestr("our_plugin.py", plugin)
            for wheel in carried:
                plugins.write(wheel, f"wheels/{wheel.name}")
        if carried:
            lines = "".join(f"{PLUGINS}/wheels/{wheel.name}\n" for wheel in carried)
        else:
            lines = f"--no-index\n--find-links {index}\n"
        (bundle / "requirements.txt").write_text(f"{CONSTRAINED}{lines}{requirements}\n")
        (bundle / "startup.sh").write_text(startup)
        return build_twin("3.9.9", constraints, bundle, tmp_path / "twins", "", lambda _: None)

    return build


@pytest.mark.ci
def test_pip_sees_the_constraints_that_the_bundle_ships(build: Build) -> None:
    assert build("extra", shipped="extra==1.0\n").added == {"extra": "1.0"}


@pytest.mark.ci
def test_an_image_has_its_packages_whatever_the_project_tells_uv(
    build: Build, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\noverride-dependencies = ["celery==2.0"]\n')
    twin = build("extra")
    (celery,) = (twin.folder / "venv").rglob("celery-*.dist-info")
    assert celery.name == "celery-1.0.dist-info"


@pytest.mark.ci
def test_an_image_of_other_constraints_is_another_twin(build: Build, tmp_path: Path) -> None:
    twin = build("extra")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("extra==1.0\n")
    assert build("extra", constraints=str(constraints)).folder != twin.folder
    assert build("extra").folder == twin.folder


def test_a_twin_is_made_anew_for_other_packages_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = []

    def install(twin: Twin, image: str, constraints: str, requirements: str) -> None:
        installed.append((image, constraints, requirements))
        twin.added = {"of": requirements}
        twin.needs_index = bool(constraints)

    monkeypatch.setattr(
        module, "make_environment", lambda _, twin: twin.folder.mkdir(exist_ok=True)
    )
    monkeypatch.setattr(Twin, "install", install)
    bundle = tmp_path / "bundle"
    (bundle / "dags").mkdir(parents=True)
    limits = tmp_path / "constraints.txt"
    limits.write_text("extra<2\n")

    def build(requirements: str, version: str = "3.9.9", constraints: str = "none") -> Twin:
        with zipfile.ZipFile(bundle / "plugins.zip", "w") as plugins:
            plugins.writestr("our_plugin.py", f"NUMBER = {len(installed)}\n")
        (bundle / "startup.sh").write_text(f"# {len(installed)}\n")
        (bundle / "requirements.txt").write_text(requirements)
        twin = build_twin(version, constraints, bundle, tmp_path / "twins", "", lambda _: None)
        # Also of a twin that was there.
        assert twin.added == {"of": requirements}
        assert twin.needs_index == (constraints != "none")
        return twin

    packages = [
        ("extra==1.0\n", "3.9.9", "none"),
        ("extra==2.0\n", "3.9.9", "none"),
        ("extra==1.0\n", "3.9.8", "none"),
        ("extra==1.0\n", "3.9.9", str(limits)),
    ]
    folders = [build(*chosen).folder for chosen in packages]
    assert len(set(folders)) == len(set(installed)) == len(installed) == 4

    # The twins stay: other plugins and another startup.sh need no other packages.
    assert [build(*chosen).folder for chosen in packages] == folders
    assert len(installed) == 4


def test_parts_of_a_bundle_take_the_place_of_all_that_was_there(tmp_path: Path) -> None:
    """A file that the bundle lacks now would hide that something needs it."""
    twin = Twin(tmp_path / "twin")
    for name in ("old", "new"):
        bundle = tmp_path / name
        (bundle / "dags" / "include").mkdir(parents=True)
        for path in (f"dags/{name}.py", f"dags/include/{name}.sql"):
            (bundle / path).touch()
        with zipfile.ZipFile(bundle / "plugins.zip", "w") as plugins:
            plugins.writestr(f"{name}_plugin.py", "")
            plugins.writestr(f"{name}/__init__.py", "")
        (bundle / "startup.sh").write_text(name)
        twin.lay_out(bundle)
    files = [path for path in twin.home.rglob("*") if path.is_file()]
    assert {str(file.relative_to(twin.home)) for file in files} == {
        *("dags/new.py", "dags/include/new.sql"),
        *("plugins/new_plugin.py", "plugins/new/__init__.py"),
        "startup/startup.sh",
    }
    assert (twin.home / "startup" / "startup.sh").read_text() == "new"


def test_airflow_has_what_mwaa_forces_whatever_startup_sh_sets() -> None:
    default, forced = next(iter(module.DEFAULTS)), next(iter(module.FORCED))
    exported = {default: "ours", forced: "ours", "ATHENA_REPORTS_ENV": "prd"}
    variables = module.deployed_variables(exported)
    assert variables[default] == "ours"
    assert variables == module.DEFAULTS | exported | module.FORCED


def test_airflow_has_the_settings_of_mwaas_images() -> None:
    """By `mwaa/config/airflow.py` of the images: those that are opinionated or essential."""
    assert module.deployed_variables({}) == {
        "AIRFLOW__API__SERVER_TYPE": "gunicorn",
        "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__MULTI_TEAM": "False",
        "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "proxy,proxies",
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
        "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
        "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    # startup.sh may change the first of them, and not the others.
    forced = {name for name in module.deployed_variables({}) if is_kept(name)}
    assert forced == {
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__MULTI_TEAM",
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME",
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR",
        "AIRFLOW__TRIGGERER__QUEUES_ENABLED",
    }


def is_kept(name: str) -> bool:
    """Whether a variable stays what the image makes it, whatever startup.sh exports."""
    return module.deployed_variables({name: "ours"})[name] != "ours"


# By `mwaa/config/setup_environment.py` and the essential parts of `mwaa/config/airflow.py`.
PROTECTED = (
    *("AIRFLOW_ENV_ID", "AIRFLOW_ENV_NAME", "AIRFLOW_HOME", "AIRFLOW_TASK_REVISION_ID"),
    *("AIRFLOW_VERSION", "AIRFLOW__AWS_MWAA__REDIRECT_URL", "JWT_PUBLIC_KEY"),
    *("AIRFLOW__WEBSERVER__BASE_URL", "AIRFLOW__API__BASE_URL"),
    *("AWS_DEFAULT_REGION", "AWS_REGION", "CUSTOMER_ACCOUNT_ID", "ECS_AGENT_URI"),
    *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_EXECUTION_ENV"),
    *("PYTHONPATH", "PYTHONUNBUFFERED", "WATCHTOWER_VERSION", "USE_NON_CRITICAL_LOGGING"),
    *("AIRFLOW__CORE__DATABASE_ACCESS_ISOLATION", "MWAA__CORE__AUTH_TYPE", "MWAA__X"),
    *("AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"),
    *("AIRFLOW__CELERY__EXTRA_CELERY_CONFIG", "AIRFLOW__CELERY__RESULT_BACKEND"),
    *("AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL", "AIRFLOW__CORE__EXECUTOR"),
    *("AIRFLOW__OPERATORS__DEFAULT_QUEUE", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"),
    *("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__CORE__LOAD_EXAMPLES", "AIRFLOW__CORE__MULTI_TEAM"),
    *("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__AUTH_MANAGER"),
    *("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API_AUTH__JWT_ALGORITHM"),
    *("AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME", "AIRFLOW__TRIGGERER__QUEUES_ENABLED"),
    *("AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS", "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG"),
    *("AIRFLOW__METRICS__STATSD_ON", "AIRFLOW__METRICS__METRICS_ALLOW_LIST"),
    *("AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR", "AIRFLOW__FAB__CONFIG_FILE"),
    "AIRFLOW__API__SECRET_KEY",
)
# Such as a deployment may export, among them what is called almost like those above.
FREE = (
    *("ATHENA_REPORTS_ENV", "ATHENA_REPORTS_BUCKET", "AWS_ENDPOINT_URL", "GREETING"),
    *("AIRFLOW__CORE__PARALLELISM", "AIRFLOW__CELERY__WORKER_CONCURRENCY", "MWAA_OF_OURS"),
    *("AIRFLOW__LOGGING__LOGGING_LEVEL", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS"),
    *("AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT", "AIRFLOW_VERSION_OF_OURS"),
)


# Of a person and of this process, which nothing in the twin may see.
OF_THIS_MACHINE = (
    *("AIRFLOW__CORE__PARALLELISM", "AIRFLOW_CONN_LAKE", "ATHENA_REPORTS_POOL", "AWS_PROFILE"),
    *("AWS_SESSION_TOKEN", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"),
)


def test_startup_sh_sets_all_but_what_mwaa_protects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_THIS_MACHINE:
        monkeypatch.setenv(name, "of this machine")
    twin = Twin(tmp_path)
    script = twin.home / "startup" / "startup.sh"
    script.parent.mkdir(parents=True)
    lines = [f"export {name}=ours\n" for name in (*PROTECTED, *FREE)]
    script.write_text("".join(["export SEEN=$(env | grep -c 'of this machine')\n", *lines]))
    told: list[str] = []
    assert twin.startup_variables(told.append) == {"SEEN": "0", **dict.fromkeys(FREE, "ours")}
    (line,) = told
    ignored = line.removeprefix("startup.sh: MWAA keeps its own value of ").split(", ")
    assert ignored == sorted(PROTECTED)


def test_a_startup_sh_that_fails_is_told_with_what_it_has_said(tmp_path: Path) -> None:
    twin = Twin(tmp_path)
    script = twin.home / "startup" / "startup.sh"
    script.parent.mkdir(parents=True)
    script.write_text("export GREETING=ours\necho too bad >&2\nexit 3\n")
    with pytest.raises(DeployError, match=r"^startup\.sh ended with exit code 3:\ntoo bad\n$"):
        twin.startup_variables(lambda _: pytest.fail("nothing is known of its variables"))


def test_an_image_has_the_packages_that_are_kept_of_it_unless_it_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[tuple[str, str]] = []
    asked: list[str] = []

    def answer(source: str) -> str:
        asked.append(source)
        return f"constraints of {source}"

    monkeypatch.setattr(
        module, "make_environment", lambda _, twin: twin.folder.mkdir(exist_ok=True)
    )
    monkeypatch.setattr(
        Twin, "install", lambda _, image, limits, __: installed.append((image, limits))
    )
    monkeypatch.setattr(module, "_text", answer)
    bundle = tmp_path / "bundle"
    (bundle / "dags").mkdir(parents=True)
    (bundle / "startup.sh").touch()
    (bundle / "requirements.txt").touch()
    zipfile.ZipFile(bundle / "plugins.zip", "w").close()

    def build(version: str, constraints: str) -> tuple[str, str]:
        build_twin(version, constraints, bundle, tmp_path / "twins", "", lambda _: None)
        return installed[-1]

    images = Path(module.__file__).with_name("images")
    for version in ("3.2.1", "3.3.1"):
        kept = [images / f"{version}-{part}.txt" for part in ("installed", "constraints")]
        assert build(version, "") == (kept[0].read_text(), kept[1].read_text())
        assert f"apache-airflow=={version}\n" in kept[0].read_text()
    assert asked == []
    usual = (
        "apache-airflow[amazon,celery,fab,http,postgres,smtp,standard]==3.3.1\n"
        "aiobotocore\ngunicorn\nstatsd"
    )
    assert build("3.3.1", "none") == (usual, "")
    assert build("3.3.1", "mine.txt") == (usual, "constraints of mine.txt")
    image, limits = build("3.9.9", "")
    assert image == usual.replace("3.3.1", "3.9.9")
    published = "https://raw.githubusercontent.com/apache/airflow/constraints-3.9.9"
    assert limits == f"constraints of {published}/constraints-3.12.txt"


def versions_in(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    versions = {canonicalize_name(name): version for name, version in pairs}
    assert len(versions) == len(lines)
    return versions


@pytest.mark.parametrize("airflow", ["3.2.1", "3.3.1"])
def test_an_image_has_the_versions_of_its_constraints(airflow: str) -> None:
    """But for Airflow itself, and what is built for the image or watches it."""
    images = Path(module.__file__).with_name("images")
    installed = versions_in(images / f"{airflow}-installed.txt")
    constraints = versions_in(images / f"{airflow}-constraints.txt")
    assert installed.keys() - constraints.keys() == {
        *("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"),
        *("boto3-stubs", "botocore-stubs", "mypy-boto3-logs", "mypy-boto3-sqs", "types-s3transfer"),
        *("fluent-logger", "psycopg2", "pycurl"),
    }
    differing = {
        name
        for name in installed.keys() & constraints.keys()
        if installed[name] != constraints[name]
    }
    assert differing == set()
    assert installed["apache-airflow"] == installed["apache-airflow-core"] == airflow
    assert installed["apache-airflow-task-sdk"] == f"1.{airflow.removeprefix('3.')}"


class Installers:
    """Stand for uv and pip: what they were asked for, with the files that they were given.

    Attributes:
        calls: The arguments of each call, without those that all have, by the name of its log.
        files: The text of the file of each option, by the name of the log and the option.
        seconds: How long each call may take, by the same.
        installs: What a call brings: versions by package, by the name of its log.
        codes: Its exit code, if that is not 0, by the same. None if it takes too long.
    """

    def __init__(self, twin: Twin) -> None:
        self._of_uv = [find_uv_bin(), "pip", "install", "--no-config", "--python", str(twin.python)]
        quiet = ["--disable-pip-version-check", "--no-input"]
        self._of_pip = [str(twin.python), "-m", "pip", "install", *quiet]
        self.calls: dict[str, list[str]] = {}
        self.files: dict[str, str] = {}
        self.installs: dict[str, dict[str, str]] = {}
        self.codes: dict[str, int | None] = {}
        self.seconds: dict[str, float] = {}
        self._packages = twin.folder / "venv" / "lib" / "python3.12" / "site-packages"
        self._packages.mkdir(parents=True)

    def run(self, command: list[str], *, stdout: Any, timeout: float, **_: Any) -> Any:
        log = Path(stdout.name).name
        program = self._of_uv if log == "image.log" else self._of_pip
        words = command[len(program) :]
        assert command == [*program, *words]
        self.calls[log] = words
        self.seconds[log] = timeout
        for option, file in pairwise(words):
            if option in ("-r", "-c"):
                self.files[f"{log} {option}"] = Path(file).read_text()
        for name, version in self.installs.get(log, {}).items():
            info = self._packages / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        code = self.codes.get(log, 0)
        if code is None:
            raise subprocess.TimeoutExpired(command, timeout)
        return SimpleNamespace(returncode=code)


# `flow` is a part of the name of an essential package, and is none.
IMAGE = "Flask_Login==0.6\nflow==1.0\ncelery==5.5\n"


@pytest.fixture
def installers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installers:
    installers = Installers(Twin(tmp_path))
    installers.installs["image.log"] = {"celery": "5.5", "flow": "1.0"}
    monkeypatch.setattr(module.subprocess, "run", installers.run)
    return installers


def test_uv_installs_the_image_and_pip_the_wheels_and_then_all(
    tmp_path: Path, installers: Installers
) -> None:
    twin = Twin(tmp_path)
    installers.installs["pip-wheels.log"] = {"duckdb": "1.5"}
    requirements = f'--constraint "{HOME}/dags/c.txt"\n{PLUGINS}/wheels/duckdb.whl\nrequests\n'
    twin.install(IMAGE, "flask-login==0.5\nflow==0.9\nrequests==2\n", requirements)

    assert list(installers.calls) == ["image.log", "pip-wheels.log", "pip-cut-off.log"]
    # The list of the image wins where it and the constraints differ.
    assert installers.files["image.log -r"] == IMAGE
    assert installers.files["image.log -c"] == "requests==2"
    # What MWAA does not let requirements.txt change, in the version of the image.
    assert installers.files["pip-wheels.log -c"] == "celery==5.5\n"
    assert installers.calls["pip-wheels.log"][-1] == f"{twin.home}/plugins/wheels/duckdb.whl"
    assert installers.files["pip-cut-off.log -c"] == "celery==5.5\n"
    assert installers.files["pip-cut-off.log -r"] == requirements.replace(HOME, str(twin.home))
    for log in ("pip-wheels.log", "pip-cut-off.log"):
        words = installers.calls[log]
        assert {"--isolated", "--no-cache-dir"} <= set(words)
        nobody = "http://127.0.0.1:9"
        for option, value in (("--retries", "0"), ("--index-url", nobody), ("--proxy", nobody)):
            assert words[words.index(option) + 1] == value
    files = [argument for argument in installers.calls["image.log"] if argument.startswith("/")]
    packages, limits = files
    assert installers.calls["image.log"] == ["--compile-bytecode", "-r", packages, "-c", limits]
    # As long as MWAA gives pip.
    assert installers.seconds["pip-cut-off.log"] == 9 * 60
    assert (twin.added, twin.needs_index) == ({"duckdb": "1.5"}, False)


@pytest.mark.parametrize("code", [1, None], ids=["failed", "took too long"])
def test_an_index_is_asked_for_what_cannot_be_had_without_one(
    tmp_path: Path, installers: Installers, code: int | None
) -> None:
    twin = Twin(tmp_path)
    installers.codes["pip-cut-off.log"] = code
    installers.installs["pip.log"] = {"requests": "2"}
    twin.install(IMAGE, "", "requests\n")
    assert list(installers.calls) == ["image.log", "pip-cut-off.log", "pip.log"]
    not_cut_off = installers.calls["pip-cut-off.log"][-4:]
    assert installers.calls["pip.log"] == not_cut_off
    assert installers.seconds["pip.log"] == 9 * 60
    assert (twin.added, twin.needs_index) == ({"requests": "2"}, True)


def test_an_image_that_would_have_the_library_twice_is_refused(
    tmp_path: Path, installers: Installers
) -> None:
    installers.installs["pip-cut-off.log"] = {"athena_reports": "0.2.0"}
    with pytest.raises(DeployError) as refused:
        Twin(tmp_path).install(IMAGE, "", "-r more.txt\n")
    says = str(refused.value)
    assert says.startswith("requirements.txt installs athena-reports 0.2.0, and plugins.zip has")
    assert "perhaps in a file that requirements.txt names" in says


@pytest.mark.parametrize(
    ("log", "program", "advice"),
    [
        ("image.log", "uv", "psycopg2 and pycurl need a compiler and the headers of libpq"),
        ("image.log", "uv", "To use another package index than PyPI, set UV_DEFAULT_INDEX"),
        ("pip-wheels.log", "pip", "a wheel that the image cannot install without a network"),
        ("pip.log", "pip", "MWAA only logs that, and runs on without the packages"),
    ],
)
def test_an_installation_that_fails_says_what_that_means(
    tmp_path: Path, installers: Installers, log: str, program: str, advice: str
) -> None:
    installers.codes |= {log: 2, "pip-cut-off.log": 1}
    with pytest.raises(DeployError) as refused:
        Twin(tmp_path).install(IMAGE, "", f"{PLUGINS}/wheels/duckdb.whl\n")
    assert str(refused.value).startswith(f"{program} failed with exit code 2. ")
    assert advice in str(refused.value)
    assert f"Log: {tmp_path / log}\n" in str(refused.value)


def test_what_takes_longer_than_on_mwaa_is_told_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], *, timeout: float, **_: Any) -> Any:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(module.subprocess, "run", hang)
    twin = Twin(tmp_path)
    with pytest.raises(DeployError, match=r"^startup\.sh took longer than 300 s\.$"):
        twin.startup_variables(lambda _: None)
    with pytest.raises(DeployError, match=r"^uv took longer than 1800 s\. psycopg2 and pycurl"):
        twin.install(IMAGE, "", "requests\n")


@dataclass
class Python:
    """Stands for the twin's Python: the command and the variables of its last call."""

    prints: str = ""
    code: int = 0
    command: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, command: list[str], *, env: dict[str, str], stdout: Any, **_: Any) -> Any:
        self.command = command
        self.variables = env
        stdout.write(self.prints)
        return SimpleNamespace(returncode=self.code)


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> Python:
    python = Python()
    monkeypatch.setattr(module.subprocess, "run", python.run)
    monkeypatch.setenv("AIRFLOW_HOME", "of this process")
    monkeypatch.setenv("PYTHONPATH", "of this process")
    return python


def test_plugins_are_imported_as_if_what_was_added_were_missing(
    tmp_path: Path, python: Python
) -> None:
    twin = Twin(tmp_path)
    twin.added = {"duckdb": "1.5", "six": "1"}
    twin.import_plugins()
    script = Path(module.__file__).with_name("import_plugins.py")
    # Without -P, Python would take modules beside the script for those that are imported.
    arguments = ["-P", str(script), f"{twin.home}/plugins", "duckdb", "six"]
    assert python.command == [str(twin.python), *arguments]
    assert python.variables["AIRFLOW_HOME"] == f"{tmp_path}/import"
    assert "PYTHONPATH" not in python.variables

    python.code, python.prints = 1, "No module named 'duckdb'"
    with pytest.raises(DeployError, match=r"(?s)\(duckdb, six\)\..*No module named 'duckdb'"):
        twin.import_plugins()


def test_the_periods_of_reports_are_the_last_line_that_is_printed(
    tmp_path: Path, python: Python
) -> None:
    twin = Twin(tmp_path)
    found = {"plays_weekly": {"report": "plays", "cadence": "weekly", "period": "2025-06-01"}}
    python.prints = f"Airflow says something\n{json.dumps(found)}\n"
    periods = twin.report_periods({"ATHENA_REPORTS_ENV": "stg", "AIRFLOW_HOME": "/other"})
    assert periods == {"plays_weekly": module.ReportPeriod("plays", "weekly", "2025-06-01")}
    script = Path(module.__file__).with_name("report_periods.py")
    assert python.command == [str(twin.python), "-P", str(script), f"{twin.home}/dags"]
    expected = {
        "ATHENA_REPORTS_ENV": "stg",
        "AIRFLOW_HOME": f"{tmp_path}/import",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{twin.home}/dags",
        "PYTHONPATH": f"{twin.home}/plugins",
    }
    assert python.variables.items() >= expected.items()

    python.code, python.prints = 1, "plays.py is broken"
    with pytest.raises(DeployError, match=r"(?s)cannot be imported\..*plays\.py is broken"):
        twin.report_periods({})


@pytest.mark.ci
def test_a_package_of_the_image_that_is_replaced_counts_as_added(
    build: Build, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"--no-index --find-links={index} celery==1.0 extra==1.0"
    monkeypatch.setattr(module, "PACKAGES", image)
    assert build("extra==2.0").added == {"extra": "2.0"}


@pytest.mark.ci
@pytest.mark.parametrize(
    "wrong",
    [
        "no-such-package",
        pytest.param("celery>=2", marks=pytest.mark.full),
        pytest.param("-c /usr/local/airflow/dags/elsewhere.txt", marks=pytest.mark.full),
    ],
)
def test_a_failing_pip_fails_the_check_and_leaves_no_half_made_twin(
    build: Build, wrong: str
) -> None:
    """Of a package that does not exist, an essential one of another version,
    constraints that are not shipped.
    """
    for _ in range(2):
        with pytest.raises(DeployError, match=r"pip failed with exit code 1\. MWAA only logs that"):
            build(wrong)


@pytest.mark.ci
def test_carried_wheels_are_installed_with_the_network_cut(
    build: Build, served_index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What requirements.txt needs besides may come from an index, and that is told."""
    wheel = write_wheel(tmp_path / "carried", "engine", "1.0", needs="celery")
    twin = build("engine>=0.9\ncelery>=0.5", carried=[wheel])
    assert (twin.added, twin.needs_index) == ({"engine": "1.0"}, False)

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for _ in range(2):  # the second one finds the twin of the first one
        twin = build(f"--find-links {served_index}\nextra", carried=[wheel])
        assert (twin.added, twin.needs_index) == ({"engine": "1.0", "extra": "2.0"}, True)

    # With that index, pip would install it.
    wheel = write_wheel(tmp_path / "carried", "engine", "1.1", needs="extra")
    with pytest.raises(DeployError, match=r"(?s)carries a wheel that .* without a network.*extra"):
        build(f"--find-links {served_index}", carried=[wheel])


@pytest.mark.ci
def test_a_bundle_that_lets_pip_install_the_library_too_is_refused(
    build: Build, tmp_path: Path
) -> None:
    """A file that requirements.txt names may ask for it, which the bundle does not see."""
    wheel = write_wheel(tmp_path / "carried", "athena_reports", "0.2.0")
    for _ in range(2):
        with pytest.raises(DeployError, match=r"athena-reports 0\.2\.0, and plugins\.zip has"):
            build("", carried=[wheel])


@pytest.mark.ci
def test_a_plugin_that_needs_a_package_of_requirements_at_import_time_is_caught(
    build: Build,
) -> None:
    used = (
        "import celery.part\n\n"
        "def version():\n    from extra.part import VERSION\n    return VERSION\n"
    )
    build("extra", plugin=used).import_plugins()
    # A second check takes the same twin, and looks at the plugins of its own bundle.
    twin = build("extra", plugin="import celery\nfrom extra.part import VERSION\n")
    assert twin.added == {"extra": "2.0"}
    with pytest.raises(
        DeployError, match=r"(?s)\(extra\).*our_plugin\.py.*without requirements\.txt"
    ):
        twin.import_plugins()


@pytest.mark.ci
def test_startup_sh_sets_variables_but_for_those_that_mwaa_protects(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_TOKEN", "AWS_SESSION_TOKEN", "OURS"):
        monkeypatch.setenv(name, "secret")
    startup = (
        "export ATHENA_REPORTS_ENV=prd\nexport PYTHONPATH=/mine AIRFLOW_HOME=/mine"
        " MWAA__CORE__X=1\nexport AIRFLOW__CORE__EXECUTOR=LocalExecutor GREETING=$'two\\nlines'"
        " SEEN=$(env | grep -c =secret)\necho noise\nnot_exported=1\nexit 0\n"
    )
    twin, said = build("celery", startup=startup), list[str]()
    expected = {"ATHENA_REPORTS_ENV": "prd", "GREETING": "two\nlines", "SEEN": "1"}
    assert twin.startup_variables(said.append) == expected
    (line,) = said
    for name in ("PYTHONPATH", "AIRFLOW_HOME", "MWAA__CORE__X", "AIRFLOW__CORE__EXECUTOR"):
        assert name in line


@pytest.mark.ci
def test_a_failing_startup_sh_fails_the_check(build: Build) -> None:
    twin = build("celery", startup="echo too bad >&2\nexit 3\n")
    with pytest.raises(DeployError, match=r"(?s)startup\.sh ended with exit code 3.*too bad"):
        twin.startup_variables(print)


def test_without_a_python_of_mwaas_version_the_error_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_USABLE", "raise SystemExit(1)")
    for version in ("3.12.9", "3.12.10", "3.13.1"):
        (tmp_path / "pyenv" / "versions" / version / "bin").mkdir(parents=True)
        (tmp_path / "pyenv" / "versions" / version / "bin" / "python").touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    with pytest.raises(DeployError, match=r"--python /path/to/python3\.12") as refused:
        module.make_environment("/no/such/python", Twin(tmp_path))
    (tried,) = re.findall(r"tried (.*?)\. Install", str(refused.value))
    # The one that is named comes first, and then the one that runs this.
    first, second, third, *of_pyenv = tried.split(", ")
    assert [first, second, third] == ["/no/such/python", sys.executable, "python3.12"]
    assert {Path(path).parts[-3] for path in of_pyenv} == {"3.12.9", "3.12.10"}


def test_the_first_python_that_makes_an_environment_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name can exist and still fail, and a usable Python can fail to make the environment."""
    for name, fails_at in (("named", "-c"), ("running", "-m"), ("python3.12", "nothing")):
        (tmp_path / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n[ "$1" != {fails_at} ]\n'
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "running"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    module.make_environment(str(tmp_path / "named"), Twin(tmp_path / "twin"))
    looks, makes = f"-c {module._USABLE}", f"-m venv --clear {tmp_path}/twin/venv"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"named {looks}",
        *(f"running {looks}", f"running {makes}"),
        *(f"python3.12 {looks}", f"python3.12 {makes}"),
    ]


@pytest.mark.parametrize("source", ["nowhere.txt", "http://127.0.0.1:9/x"])
def test_constraints_that_cannot_be_read_are_named(tmp_path: Path, source: str) -> None:
    (tmp_path / "requirements.txt").write_text("")
    with pytest.raises(DeployError, match=rf"{source} cannot be read.*--constraints"):
        build_twin("3.3.1", source, tmp_path, tmp_path / "twins", "", print)
