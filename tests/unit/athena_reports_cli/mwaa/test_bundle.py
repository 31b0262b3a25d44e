from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa import bundle as bundle_module
from athena_reports_cli.mwaa.bundle import build_bundle
from tests.support import repository_copy
from tests.support.code_blocks import blocks_of, commands_of
from tests.support.existing_environment import PAGE
from tests.support.paths import ROOT
from tests.support.wheel_files import requirement_of, write_wheel

SHIPPED = ("dags", "include", "plugins", "deploy/environments")
FOREIGN = b"athena_reports_cli|local_athena|demo|bench|tests|pytest|moto|pyarrow"
CONSTRAINT = '--constraint "/usr/local/airflow/plugins/constraints.txt"'


@pytest.fixture(autouse=True)
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel that bundles of these tests carry."""
    wheel = write_wheel(tmp_path / "carried", "duckdb", "2.0.1")
    monkeypatch.setattr(bundle_module, "carried_wheels", lambda _: [wheel])
    return wheel


def copied(folder: Path) -> Path:
    """Copy what a bundle is made of into a folder."""
    for path in SHIPPED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / path, folder / path, ignore=ignored)
    shutil.copy(ROOT / "requirements.txt", folder)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return copied(tmp_path / "repository")


def build(repository: Path, environment: str = "prd") -> Path:
    return build_bundle(Project(repository), environment)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def contents_of_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_two_folders_and_two_times_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = copied(tmp_path / "first"), copied(tmp_path / "second")
    for number, path in enumerate(sorted(second.rglob("*"))):
        os.utime(path, (1e9 + number, 1e9 + number))
        if path.is_file():
            path.chmod(0o600 if number % 2 else 0o755)
    for folder in ("plugins", "dags", "plugins/athena_reports"):
        (second / folder / "__pycache__").mkdir()
        (second / folder / "__pycache__" / "x.cpython-312.pyc").write_bytes(os.urandom(8))
        (second / folder / ".DS_Store").write_bytes(os.urandom(8))
    (second / "dist" / "mwaa" / "dags").mkdir(parents=True)
    (second / "dist" / "mwaa" / "dags" / "gone.py").write_text("# airflow dag")
    assert contents(build(first)) == contents(build(second))


def test_the_package_is_in_it_and_nothing_else(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the repository itself; tests, demo, local services and tools have no place on MWAA."""
    # Whatever the Airflow of this machine has for its own.
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "airflow" / "dags"))
    bundle = build(repository_copy.copy_repository(tmp_path / "repository"))

    expected = {"plugins.zip", "requirements.txt", "startup.sh", "stack.yaml", "stack-policy.json"}
    expected |= {f"dags/{path}" for path in files_of("dags")}
    expected |= {f"dags/include/{path}" for path in files_of("include")}
    assert contents(bundle).keys() == expected
    plugins = contents_of_zip(bundle / "plugins.zip")
    assert plugins.keys() == {*files_of("plugins"), f"wheels/{wheel.name}", "constraints.txt"}
    text = b"".join([*plugins.values(), *contents(bundle / "dags").values()])
    assert not re.search(rb"^\s*(from|import) (" + FOREIGN + rb")\b", text, re.MULTILINE)


def files_of(folder: str) -> set[str]:
    root = ROOT / folder
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_passwords_of_local_connections_are_never_in_it(repository: Path) -> None:
    """Wherever the file is."""
    secret = b"s3cr3t"
    for folder in (".", "dags", "include", "include/sql", "plugins", "deploy/environments"):
        (repository / folder / ".airflow.env").write_bytes(b"AIRFLOW_VAR_PASSWORD=" + secret)
    # plugins.zip is not compressed.
    assert not [path for path, content in contents(build(repository)).items() if secret in content]


def test_a_project_that_has_installed_the_library_ships_it_beside_its_own_plugins(
    tmp_path: Path,
) -> None:
    cloned, project = copied(tmp_path / "cloned"), copied(tmp_path / "project")
    shutil.rmtree(project / "plugins")
    for repository in (cloned, project):
        (repository / "plugins").mkdir(exist_ok=True)
        (repository / "plugins" / "team.py").write_text("OURS = 1\n")
    (project / "plugins" / ".airflowignore").write_text("drafts/**")

    expected = contents_of_zip(build(cloned) / "plugins.zip")
    shipped = contents_of_zip(build(project) / "plugins.zip")
    assert expected.pop(".airflowignore").endswith(b"\nathena_reports/**\n")
    assert shipped.pop(".airflowignore") == b"drafts/**\nathena_reports/**\n"
    assert shipped == expected


def test_pip_gets_the_carried_wheels_by_their_paths_and_the_lines_of_the_project(
    repository: Path, wheel: Path
) -> None:
    ours = "--find-links wheels\nathena-reports[delivery]==0.2.0 ; python_version > '3'\n"
    (repository / "requirements.txt").write_text(f"{ours}# theirs\nrequests>=2\n")
    bundle = build(repository)
    assert (bundle / "requirements.txt").read_text() == (
        f"{CONSTRAINT}\n"
        "/usr/local/airflow/plugins/wheels/duckdb-2.0.1-py3-none-any.whl\n"
        "--find-links wheels\n# theirs\nrequests>=2\n"
    )
    plugins = contents_of_zip(bundle / "plugins.zip")
    assert plugins[f"wheels/{wheel.name}"] == wheel.read_bytes()
    assert plugins["constraints.txt"] == bundle_module.CONSTRAINTS.read_bytes()


def test_beside_lines_with_hashes_the_carried_wheels_have_theirs(
    repository: Path, wheel: Path, tmp_path: Path
) -> None:
    """pip takes a file with one hash only if each line has one. Here the real pip reads it."""
    line = requirement_of(write_wheel(tmp_path, "pinned", "1.0")).replace(" --", " \\\n    --")
    (repository / "requirements.txt").write_text(f"--find-links {tmp_path}\n{line}")
    first, carried, *others = (build(repository) / "requirements.txt").read_text().splitlines()
    assert first == CONSTRAINT
    on_mwaa = f"/usr/local/airflow/plugins/wheels/{wheel.name}"
    assert f"{on_mwaa} --hash=sha256:" in carried

    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join([carried.replace(on_mwaa, str(wheel)), *others]))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--target", str(tmp_path / "installed"), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_variables_are_those_of_a_script_and_of_the_environment_which_wins(
    repository: Path,
) -> None:
    (repository / "deploy" / "environments" / "qa.sh").write_text(
        "export TEAM=ours ATHENA_REPORTS_ENV=theirs"
    )
    (repository / "deploy" / "environments" / "qa.env").write_text(
        "# ours\n\n#   theirs\nATHENA_REPORTS_BUCKET=acme-reports\n"
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/of=qa/\n"
        "ATHENA_REPORTS_SQL_FOLDER=/usr/local/airflow/dags/theirs\n"  # which is not here
        "ATHENA_REPORTS_ENV=theirs\n"
    )
    source = ["sh", "-c", '. "$0"; env', str(build(repository, "qa") / "startup.sh")]
    seen = subprocess.check_output(source, env={"HOME": "/x"}, text=True)
    assert {line for line in seen.splitlines() if line[:4] in ("TEAM", "ATHE")} == {
        "TEAM=ours",
        "ATHENA_REPORTS_ENV=qa",
        "ATHENA_REPORTS_BUCKET=acme-reports",
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/of=qa/",
        "ATHENA_REPORTS_SQL_FOLDER=/usr/local/airflow/dags/theirs",
    }


NO_SETTING = (
    'line 2: "BUCKET=acme" is not a setting. Use ATHENA_REPORTS_<NAME>=<value>, without spaces'
    " around the =."
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("BUCKET=acme", NO_SETTING),
        ("ATHENA_REPORTS_BUCKET = acme", "line 2: "),
        ("ATHENA_REPORTS_BUCKET=Acme_Reports", "ATHENA_REPORTS_BUCKET is 'Acme_Reports'"),
    ],
)
def test_a_wrong_setting_is_refused(repository: Path, line: str, message: str) -> None:
    (repository / "deploy" / "environments" / "prd.env").write_text(f"# ours\n{line}\n")
    with pytest.raises(BundleError, match=r"prd\.env.*") as failure:
        build(repository)
    assert message in str(failure.value)


@pytest.mark.parametrize("missing", ["deploy/environments/prd.env", "requirements.txt"])
def test_a_missing_file_is_named(missing: str, repository: Path) -> None:
    (repository / missing).unlink()
    with pytest.raises(BundleError, match=f"{repository}/{missing}"):
        build(repository)


# --- docs/how-to/existing-environment.md: a bundle in an environment of somebody else


def write_environment(folder: Path, *plugins: str) -> None:
    """The files of an environment that has plugins of its own; none ends with a line's end."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "plugins.zip", "w") as archive:
        archive.writestr(".airflowignore", "drafts/**")
        for path in plugins:
            archive.writestr(path, "")
    (folder / "requirements.txt").write_text("requests>=2")
    (folder / "startup.sh").write_text("export TEAM=analytics; exit 0")


def merge(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's way to merge, without the first command, which builds the bundle."""
    block = next(block for block in blocks_of(PAGE) if "athena-reports bundle" in block.text)
    bundle, *commands = commands_of(block)
    assert bundle == "athena-reports bundle --env prd"
    script = ["bash", "-e", "-c", "\n".join(commands)]
    return subprocess.run(script, cwd=folder, input="", capture_output=True, text=True)


def test_a_bundle_is_merged_into_an_environment_that_is_there(
    repository: Path, tmp_path: Path
) -> None:
    write_environment(repository / "environment", "team.py", "drafts/later.py")
    of_project = repository / "plugins" / ".airflowignore"
    of_project.write_text(f"parts/**\n{of_project.read_text()}")
    (repository / "plugins" / "parts").mkdir()
    (repository / "plugins" / "parts" / "words.py").touch()
    build(repository)
    first, *lines = (repository / "dist" / "mwaa" / "requirements.txt").read_text().splitlines()

    for _ in ("first release", "next release"):
        done = merge(repository)
        assert done.returncode == 0, done.stdout + done.stderr

    merged = repository / "merged"
    # What forces the image's constraints on the environment's packages is that no line has this.
    assert first.startswith("--constraint ")
    requirements = (merged / "requirements.txt").read_text()
    assert requirements.splitlines() == [*lines, "requests>=2"]
    assert not re.search("-c |--constraint ", requirements)
    shown = f"trap env EXIT; source {merged / 'startup.sh'}"
    variables = subprocess.check_output(["bash", "-c", shown], text=True).splitlines()
    assert {"ATHENA_REPORTS_ENV=prd", "TEAM=analytics"} <= set(variables)
    of_the_bundle = contents_of_zip(repository / "dist" / "mwaa" / "plugins.zip")
    with zipfile.ZipFile(merged / "plugins.zip") as archive:
        assert of_the_bundle.keys() <= set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    found = map(Path, find_path_from_directory(tmp_path / "installed", ".airflowignore"))
    read = sorted(path.name for path in found if path.suffix == ".py")
    assert read == ["athena_reports_plugin.py", "team.py"]


def test_a_file_that_both_have_stops_the_merge(repository: Path) -> None:
    write_environment(repository / "environment", "athena_reports_plugin.py")
    build(repository)

    done = merge(repository)

    assert done.returncode != 0
    assert "replace merged/plugins/athena_reports_plugin.py?" in done.stdout + done.stderr
    assert not (repository / "merged" / "plugins.zip").exists()
