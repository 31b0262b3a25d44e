"""The twin with images and packages of the test's own: real virtual environments and a real pip, no index."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import image as mwaa
from deploy import twin as module
from deploy.errors import CheckError
from deploy.twin import Image, Twin, build_twin, newest_airflow

CONSTRAINED = '--constraint "/usr/local/airflow/dags/constraints.txt"\n'
Build = Callable[..., Twin]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels: `celery`, an essential package, and `extra`, both in versions 1.0 and 2.0."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("celery", "extra"):
        for version in ("1.0", "2.0"):
            info = f"{name}-{version}.dist-info"
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"{name}/__init__.py", "")
                wheel.writestr(f"{name}/part.py", f"VERSION = {version!r}\n")
                wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                record = "".join(f"{entry},,\n" for entry in [*wheel.namelist(), f"{info}/RECORD"])
                wheel.writestr(f"{info}/RECORD", record)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that is copied, because to make one takes seconds."""
    twin = Twin(tmp_path_factory.mktemp("environment"))
    module._make_environment(sys.executable, twin)
    return twin.folder / "venv"


@pytest.fixture
def build(environment: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds a twin of an image that has celery 1.0, with a bundle of the given parts."""

    def copy(_interpreter: str, twin: Twin) -> None:
        shutil.rmtree(twin.folder / "venv", ignore_errors=True)
        shutil.copytree(environment, twin.folder / "venv", symlinks=True)

    monkeypatch.setattr(mwaa, "PYTHON", sys.version_info[:2])
    monkeypatch.setattr(module, "_make_environment", copy)
    offline = f"--no-index\n--find-links {index}\n"
    installed = tmp_path / "installed.txt"
    installed.write_text(f"{offline}celery==1.0\n")

    def build(
        requirements: str,
        *,
        shipped: str = "",
        constraints: str = "",
        plugin: str = "",
        startup: str = "",
        said: list[str] | None = None,
    ) -> Twin:
        bundle = tmp_path / "bundle"
        (bundle / "dags").mkdir(parents=True, exist_ok=True)
        (bundle / "dags" / "constraints.txt").write_text(shipped)
        with zipfile.ZipFile(bundle / "plugins.zip", "w") as plugins:
            plugins.writestr("our_plugin.py", plugin)
        (bundle / "requirements.txt").write_text(offline + requirements)
        (bundle / "startup.sh").write_text(startup)
        (tmp_path / "constraints.txt").write_text(constraints)
        image = Image("3.9.9", constraints=str(tmp_path / "constraints.txt"), installed=str(installed))
        return build_twin(image, bundle, tmp_path / "twins", "", ([] if said is None else said).append)

    return build


def test_pip_sees_the_constraints_that_the_bundle_ships(build: Build) -> None:
    twin = build(f"{CONSTRAINED}extra\n", shipped="extra==1.0\n", constraints="extra==2.0\n")
    assert (twin.added, twin.changed) == ({"extra": "1.0"}, {})


def test_without_constraints_in_requirements_those_of_the_image_are_forced(build: Build) -> None:
    assert build("extra\n", constraints="extra==1.0\n").added == {"extra": "1.0"}


def test_a_failing_pip_fails_the_check(build: Build) -> None:
    with pytest.raises(CheckError, match=r"(?s)pip failed with exit code 1 .*no-such-package"):
        build(f"{CONSTRAINED}no-such-package\n")
    # Nor is the half-made twin taken for a whole one.
    with pytest.raises(CheckError, match="pip failed"):
        build(f"{CONSTRAINED}no-such-package\n")


def test_an_essential_package_keeps_the_images_version(build: Build) -> None:
    with pytest.raises(CheckError, match=r"(?s)pip failed .*celery"):
        build(f"{CONSTRAINED}celery>=2\n")


def test_constraints_that_are_not_shipped_fail_the_check(build: Build) -> None:
    with pytest.raises(CheckError, match=r"(?s)pip failed .*elsewhere\.txt"):
        build('--constraint "/usr/local/airflow/dags/elsewhere.txt"\nextra\n')


@pytest.mark.parametrize("comment", ["# see --constraint below", "extra  # with -c it would be safer"])
def test_constraints_in_a_comment_alone_are_refused(build: Build, comment: str) -> None:
    assert mwaa.names_constraints(f"extra\n{comment}\n")
    with pytest.raises(CheckError, match="in a comment only"):
        build(f"extra\n{comment}\n", constraints="extra==1.0\n")


def test_a_plugin_that_imports_a_package_of_requirements_at_import_time_is_caught(build: Build) -> None:
    twin = build(f"{CONSTRAINED}extra\n", plugin="import celery\nfrom extra.part import VERSION\n")
    with pytest.raises(CheckError, match=r"(?s)extra.*our_plugin\.py.*without requirements\.txt"):
        twin.import_plugins()


def test_a_plugin_may_import_what_the_image_has_and_the_rest_where_it_is_used(build: Build) -> None:
    said: list[str] = []
    plugin = "import celery.part\n\ndef version():\n    from extra.part import VERSION\n    return VERSION\n"
    build(f"{CONSTRAINED}extra\n", plugin=plugin, said=said).import_plugins()
    assert "the twin is there" not in " ".join(said)

    # A second check takes the same twin, and looks at the plugins of its own bundle.
    twin = build(f"{CONSTRAINED}extra\n", plugin="raise ValueError('changed')\n", said=said)
    assert "the twin is there" in said[-1]
    assert twin.added == {"extra": "2.0"}
    with pytest.raises(CheckError, match="ValueError: changed"):
        twin.import_plugins()


def test_startup_sh_sets_variables_but_for_those_that_mwaa_protects(build: Build) -> None:
    startup = (
        "export ATHENA_REPORTS_ENV=prd\nexport PYTHONPATH=/mine AIRFLOW_HOME=/mine MWAA__CORE__X=1\n"
        "export AIRFLOW__CORE__EXECUTOR=LocalExecutor GREETING=$'two\\nlines'\n"
        "echo noise\nnot_exported=1\nexit 0\n"
    )
    twin, said = build("celery\n", startup=startup), list[str]()
    assert twin.startup_variables(said.append) == {"ATHENA_REPORTS_ENV": "prd", "GREETING": "two\nlines"}
    (line,) = said
    for name in ("PYTHONPATH", "AIRFLOW_HOME", "MWAA__CORE__X", "AIRFLOW__CORE__EXECUTOR"):
        assert name in line


def test_nothing_in_the_twin_has_this_process_s_credentials(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_TOKEN", "AWS_SESSION_TOKEN", "OURS"):
        monkeypatch.setenv(name, "secret")
    twin = build("celery\n", startup="export SEEN=$(env | grep -c =secret)\n")
    assert twin.startup_variables(print) == {"SEEN": "1"}


def test_a_failing_startup_sh_fails_the_check(build: Build) -> None:
    twin = build("celery\n", startup="echo too bad >&2\nexit 3\n")
    with pytest.raises(CheckError, match=r"(?s)startup\.sh ended with exit code 3.*too bad"):
        twin.startup_variables(print)


def test_without_a_python_of_mwaas_version_the_error_says_how_to_name_one(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mwaa, "PYTHON", (3, 99))
    with pytest.raises(CheckError, match=r"PYTHON=/path/to/python3\.12"):
        build("celery\n")


@pytest.mark.parametrize("named", ["", "/no/such/python", "/bin/false", sys.executable])
def test_a_named_python_that_is_not_mwaas_is_passed_over(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mwaa, "PYTHON", sys.version_info[:2])
    assert module._find_python(named)[0] == sys.executable


def test_constraints_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"nowhere\.txt cannot be read.*CONSTRAINTS="):
        module._text(str(tmp_path / "nowhere.txt"))
    with pytest.raises(CheckError, match=r"http://127\.0\.0\.1:9/x cannot be read"):
        module._text("http://127.0.0.1:9/x")


@pytest.mark.parametrize(
    ("image", "constraints", "installed"),
    [
        (Image("3.3.1"), "dev/pins/mwaa/3.3.1-constraints.txt", "dev/pins/mwaa/3.3.1-installed.txt"),
        (Image("3.3.1", installed="none"), "dev/pins/mwaa/3.3.1-constraints.txt", ""),
        (Image("3.3.1", installed="mine.txt"), "dev/pins/mwaa/3.3.1-constraints.txt", "mine.txt"),
        (Image("3.3.1", constraints="mine.txt"), "mine.txt", ""),
        (Image("3.3.1", constraints="none"), "none", ""),
        (Image("3.9.9"), "/apache/airflow/constraints-3.9.9/constraints-3.12.txt", ""),
    ],
)
def test_the_lists_of_an_image_are_found_by_its_version(image: Image, constraints: str, installed: str) -> None:
    assert image.constraints_source.endswith(constraints)
    assert image.installed_source.endswith(installed)
    assert bool(image.installed_source) is bool(installed)


def test_the_newest_airflow_is_the_one_that_pip_finds(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(CheckError, match="pip finds no Airflow"):
        newest_airflow()
    for version in ("3.9.1", "3.10.0", "4.0.0rc1"):
        (index / f"apache_airflow-{version}-py3-none-any.whl").touch()
    assert newest_airflow() == "3.10.0"
