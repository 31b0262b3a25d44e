"""The twin with images and packages of the test's own: a real uv and a real pip, no index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.utils import canonicalize_name

from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa import twin as module
from athena_reports_cli.mwaa.twin import Installed, Twin, build_twin
from tests.support.wheel_files import write_wheel

CONSTRAINED = '--constraint "/usr/local/airflow/plugins/constraints.txt"\n'
PLUGINS = "/usr/local/airflow/plugins"
Build = Callable[..., Twin]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels: `celery`, an essential package, and `extra`, in versions 1.0 and 2.0."""
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
    """A virtual environment of this Python; one of 3.12 may have to be downloaded."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    return folder / "venv"


@pytest.fixture
def build(environment: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds a twin of an image that has celery 1.0, with a bundle of the given parts."""

    def copy(twin: Twin) -> None:
        shutil.rmtree(twin.folder / "venv", ignore_errors=True)
        shutil.copytree(environment, twin.folder / "venv", symlinks=True)

    monkeypatch.setattr(Twin, "_make_environment", copy)
    image = ["--no-index", f"--find-links={index}", "celery==1.0"]
    monkeypatch.setattr(module, "_image", lambda _: image)

    def build(
        requirements: str,
        *,
        shipped: str = "",
        plugin: str = "",
        startup: str = "",
        carried: Sequence[Path] = (),
        told: list[str] | None = None,
    ) -> Twin:
        bundle = tmp_path / "bundle"
        (bundle / "dags").mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(bundle / "plugins.zip", "w") as plugins:
            plugins.writestr("our_plugin.py", plugin)
            plugins.writestr("constraints.txt", shipped)
            for wheel in carried:
                plugins.write(wheel, f"wheels/{wheel.name}")
        lines = "".join(f"{PLUGINS}/wheels/{wheel.name}\n" for wheel in carried)
        (bundle / "requirements.txt").write_text(f"{CONSTRAINED}{lines}{requirements}\n")
        (bundle / "startup.sh").write_text(startup)
        told = [] if told is None else told
        return build_twin("3.9.9", bundle, tmp_path / "twins", told.append)

    return build


@pytest.mark.ci
def test_pip_sees_the_constraints_and_the_wheels_that_the_bundle_ships(
    build: Build, index: Path, tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path / "carried", "engine", "1.0", needs="celery")
    requirements = f"engine>=0.9\n--find-links {index}\nextra"
    twin = build(requirements, shipped="extra==1.0\n", carried=[wheel])
    added = {"engine": "1.0", "extra": "1.0"}
    assert twin.installed == Installed(added=added, needs_index=False)


@pytest.mark.ci
def test_what_comes_from_an_index_is_told_and_a_twin_is_made_once(
    build: Build, served_index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # that of this machine
    lines = f"--find-links {served_index}\nextra"
    told: list[str] = []
    twins = [build(lines, told=told) for _ in range(2)]
    assert twins[0].folder == twins[1].folder
    assert len(told) == 1
    assert twins[1].installed == Installed(added={"extra": "2.0"}, needs_index=True)


@pytest.mark.ci
@pytest.mark.parametrize(
    "wrong", ["no-such-package", pytest.param("celery>=2", marks=pytest.mark.full)]
)
def test_a_failing_pip_fails_the_check_and_leaves_no_half_made_twin(
    build: Build, index: Path, wrong: str
) -> None:
    """Of a package that does not exist, and of an essential one in another version."""
    for _ in range(2):
        with pytest.raises(BundleError, match=r"-m pip install .* failed\."):
            build(f"--no-index\n--find-links {index}\n{wrong}")


@pytest.mark.ci
def test_an_image_has_its_packages_whatever_the_project_tells_uv(
    build: Build, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\noverride-dependencies = ["celery==2.0"]\n')
    twin = build("")
    (celery,) = (twin.folder / "venv").rglob("celery-*.dist-info")
    assert celery.name == "celery-1.0.dist-info"


@pytest.mark.ci
def test_a_plugin_that_needs_a_package_of_requirements_at_import_time_is_caught(
    build: Build, index: Path
) -> None:
    used = (
        "import celery.part\n\n"
        "def version():\n    from extra.part import VERSION\n    return VERSION\n"
    )
    lines = f"--no-index\n--find-links {index}\nextra"
    build(lines, plugin=used).import_plugins()
    # A second check takes the same twin, and looks at the plugins of its own bundle.
    twin = build(lines, plugin="import celery\nfrom extra.part import VERSION\n")
    with pytest.raises(BundleError, match=r"(?s)our_plugin\.py.*without requirements\.txt"):
        twin.import_plugins()


def test_an_environment_is_made_by_a_python_of_mwaas_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by one of pyenv, whose shim for it may fail."""
    for version in ("3.11.7", "3.12.10", "3.13.1"):
        (tmp_path / "pyenv" / "versions" / version / "bin").mkdir(parents=True)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\necho "$PATH" "$@"\n')
    uv.chmod(0o755)
    monkeypatch.setattr(module, "find_uv_bin", lambda: str(uv))
    Twin(tmp_path)._make_environment()
    path, *words = (tmp_path / "command.log").read_text().split()
    assert path == f"{tmp_path}/pyenv/versions/3.12.10/bin:{os.environ['PATH']}"
    assert "--python=3.12" in words


def versions_in(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    versions = {canonicalize_name(name): version for name, version in pairs}
    assert len(versions) == len(lines)
    return versions


@pytest.mark.parametrize("airflow", ["3.2.1", "3.3.1"])
def test_an_image_has_the_versions_of_its_constraints(airflow: str) -> None:
    """But for Airflow itself, and what is built for the image or watches it."""
    files = [option.partition("=")[2] for option in module._image(airflow)]
    packages, constraints = [versions_in(Path(file)) for file in files]
    assert packages.keys() - constraints.keys() == {
        *("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"),
        *("boto3-stubs", "botocore-stubs", "mypy-boto3-logs", "mypy-boto3-sqs", "types-s3transfer"),
        *("fluent-logger", "psycopg2", "pycurl"),
    }
    shared = packages.keys() & constraints.keys()
    assert {name for name in shared if packages[name] != constraints[name]} == set()
    assert packages["apache-airflow"] == packages["apache-airflow-core"] == airflow
    assert packages["apache-airflow-task-sdk"] == f"1.{airflow.removeprefix('3.')}"


def test_another_image_has_the_versions_that_airflow_publishes() -> None:
    assert module._image("3.9.9") == [
        "apache-airflow[amazon,celery,fab,http,postgres,smtp,standard]==3.9.9",
        *("aiobotocore", "gunicorn", "statsd"),
        "--constraint=https://raw.githubusercontent.com/apache/airflow/"
        "constraints-3.9.9/constraints-3.12.txt",
    ]


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


PROTECTED = (
    *("AIRFLOW_HOME", "AWS_REGION", "PYTHONPATH", "MWAA__X", "ECS_AGENT_URI"),
    *("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__LOAD_EXAMPLES", "AIRFLOW__METRICS__STATSD_ON"),
)
# Such as a deployment may export, among them what is called almost like those above.
FREE = (
    *("ATHENA_REPORTS_ENV", "ATHENA_REPORTS_BUCKET", "AWS_ENDPOINT_URL", "GREETING"),
    *("AIRFLOW__CORE__PARALLELISM", "MWAA_OF_OURS", "AIRFLOW_VERSION_OF_OURS"),
)


# Of a person and of this process, which nothing in the twin may see.
OF_THIS_MACHINE = (
    *("AIRFLOW__CORE__PARALLELISM", "AIRFLOW_CONN_LAKE", "ATHENA_REPORTS_POOL", "AWS_PROFILE"),
    *("AWS_SESSION_TOKEN", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"),
)


def started(twin: Twin, script: str) -> tuple[dict[str, str], list[str]]:
    """What startup.sh exports, and which of it MWAA ignores."""
    file = twin.home / "startup" / "startup.sh"
    file.parent.mkdir(parents=True)
    file.write_text(script)
    return twin.startup_variables()


def test_startup_sh_sets_all_but_what_mwaa_protects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_THIS_MACHINE:
        monkeypatch.setenv(name, "of this machine")
    lines = [f"export {name}=ours\n" for name in (*PROTECTED, *FREE)]
    lines += ["export LINES_OF_OURS=$'two\\nlines'\n", "echo noise\nnot_exported=1\nexit 0\n"]
    seen = "export SEEN=$(env | grep -c 'of this machine')\n"
    exported, ignored = started(Twin(tmp_path), "".join([seen, *lines]))
    ours = dict.fromkeys(FREE, "ours")
    assert exported == {"SEEN": "0", "LINES_OF_OURS": "two\nlines", **ours}
    assert ignored == sorted(PROTECTED)


def test_a_startup_sh_that_fails_is_told_with_what_it_has_said(tmp_path: Path) -> None:
    script = "export GREETING=ours\necho too bad >&2\nexit 3\n"
    with pytest.raises(BundleError, match=r"^startup\.sh failed with exit code 3:\ntoo bad\n$"):
        started(Twin(tmp_path), script)


def test_the_periods_of_reports_are_the_last_line_that_is_printed(tmp_path: Path) -> None:
    twin = Twin(tmp_path)
    found = {"plays_weekly": "2025-06-01"}
    twin.python.parent.mkdir(parents=True)
    twin.python.write_text(f"#!/bin/sh\necho \"$PYTHONPATH $*\"\necho '{json.dumps(found)}'\n")
    twin.python.chmod(0o755)
    assert twin.report_periods({"AIRFLOW_HOME": "/other"}) == found
    script = Path(module.__file__).with_name("report_periods.py")
    first = (tmp_path / "command.log").read_text().splitlines()[0]
    # Without -P, Python would take modules beside the script for those that are imported.
    assert first == f"{twin.home}/plugins -P {script} {twin.home}/dags"
