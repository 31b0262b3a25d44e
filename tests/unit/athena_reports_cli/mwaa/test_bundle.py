from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory

from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa import bundle as bundle_module
from athena_reports_cli.mwaa.bundle import build_bundle
from tests.support import repository_copy
from tests.support.code_blocks import blocks_of, commands_of
from tests.support.existing_environment import PAGE
from tests.support.paths import ROOT
from tests.support.wheel_files import keep_small_wheel, requirement_of, write_wheel

MAINTENANCE = "dags/athena_reports_maintenance.py"
SHIPPED = (
    "dags",
    "include",
    "plugins",
    "deploy/environments",
    "requirements.txt",
)


@pytest.fixture
def copy_repository(tmp_path: Path) -> Callable[[str], Path]:
    """Copies what a bundle is made of into a folder of the test's own."""

    def copy(name: str) -> Path:
        repository = tmp_path / name
        for path in SHIPPED:
            source, target = ROOT / path, repository / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        keep_small_wheel(repository)
        return repository

    return copy


@pytest.fixture
def repository(copy_repository: Callable[[str], Path]) -> Path:
    return copy_repository("repository")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_folders_and_two_times_give_the_same_bytes(
    copy_repository: Callable[[str], Path], tmp_path: Path
) -> None:
    first, second = copy_repository("first"), copy_repository("second")
    for number, path in enumerate(sorted(second.rglob("*"))):
        os.utime(path, (1e9 + number, 1e9 + number))
        if path.is_file():
            path.chmod(0o600 if number % 2 else 0o755)
    for folder in ("plugins", "dags", "plugins/athena_reports"):
        (second / folder / "__pycache__").mkdir()
        (second / folder / "__pycache__" / "x.cpython-312.pyc").write_bytes(os.urandom(8))
        for name in (".DS_Store", "a.py~", "a.py.orig", "a.py.rej", "a.py.swp", "a.pyc", "a.pyo"):
            (second / folder / name).write_bytes(os.urandom(8))

    build_bundle(Project.usual(first), "prd", tmp_path / "a")
    build_bundle(Project.usual(second), "prd", tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_package_is_in_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the repository itself; tests, demo, local services and tools have no place on MWAA."""
    # Whatever the Airflow of this machine has for its own.
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "airflow" / "dags"))
    repository = repository_copy.copy_repository(tmp_path / "repository")
    wheel = keep_small_wheel(repository)
    bundle = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")

    expected = {"plugins.zip", "requirements.txt", "startup.sh"}
    expected |= {constraints_path()}
    expected |= {f"dags/{path}" for path in files_of("dags")}
    expected |= {f"dags/include/{path}" for path in files_of("include")}
    written = contents(tmp_path / "bundle")
    assert bundle.files == written
    assert set(written) == expected
    with zipfile.ZipFile(tmp_path / "bundle" / "plugins.zip") as plugins:
        assert set(plugins.namelist()) == {*files_of("plugins"), f"wheels/{wheel.name}"}
        text = b"".join(plugins.read(name) for name in plugins.namelist())
    text += b"".join(contents(tmp_path / "bundle" / "dags").values())
    for module in (
        "athena_reports_cli",
        "local_athena",
        "demo",
        "bench",
        "tests",
        "pytest",
        "moto",
        "pyarrow",
    ):
        assert not re.search(rf"^\s*(from|import) {module}\b".encode(), text, re.MULTILINE), module


def test_the_passwords_of_local_connections_are_never_in_it(
    repository: Path, tmp_path: Path
) -> None:
    """Wherever the file is."""
    secret = b"s3cr3t"
    for folder in (".", "dags", "include", "include/sql", "plugins", "deploy/environments"):
        (repository / folder / ".airflow.env").write_bytes(b"AIRFLOW_VAR_PASSWORD=" + secret)
    bundle = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    assert not [path for path, content in bundle.files.items() if secret in content]
    assert bundle.files == contents(tmp_path / "bundle")


def test_a_project_that_has_installed_the_library_ships_it_beside_its_own_plugins(
    copy_repository: Callable[[str], Path], tmp_path: Path
) -> None:
    cloned, project = copy_repository("cloned"), copy_repository("project")
    shutil.rmtree(project / "plugins")
    build_bundle(Project.usual(project), "prd", tmp_path / "without")
    for repository in (cloned, project):
        (repository / "plugins").mkdir(exist_ok=True)
        (repository / "plugins" / "team.py").write_text("OURS = 1\n")
    (project / "plugins" / ".airflowignore").write_text("drafts/**")
    build_bundle(Project.usual(cloned), "prd", tmp_path / "cloned-bundle")
    build_bundle(Project.usual(project), "prd", tmp_path / "bundle")

    expected = contents_of_zip(tmp_path / "cloned-bundle" / "plugins.zip")
    shipped = contents_of_zip(tmp_path / "bundle" / "plugins.zip")
    assert expected.pop(".airflowignore").endswith(b"\nathena_reports/**\n")
    assert shipped.pop(".airflowignore") == b"drafts/**\nathena_reports/**\n"
    assert shipped == expected
    del expected["team.py"]
    without = contents_of_zip(tmp_path / "without" / "plugins.zip")
    assert without.keys() - expected.keys() == {".airflowignore"}


def contents_of_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_pip_gets_the_carried_wheels_by_their_paths_and_the_lines_of_the_project(
    repository: Path, tmp_path: Path
) -> None:
    ours = "--find-links wheels\nathena-reports[delivery]==0.2.0 ; python_version > '3'\n"
    (repository / "requirements.txt").write_text(f"{ours}# theirs\nrequests>=2\n")
    written = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle").files

    assert written["requirements.txt"].decode() == (
        f'--constraint "/usr/local/airflow/{constraints_path()}"\n'
        "/usr/local/airflow/plugins/wheels/duckdb-2.0.1-py3-none-any.whl\n"
        "# theirs\nrequests>=2\n"
    )
    with zipfile.ZipFile(tmp_path / "bundle" / "plugins.zip") as plugins:
        carried = plugins.read("wheels/duckdb-2.0.1-py3-none-any.whl")
    assert carried == keep_small_wheel(repository).read_bytes()


def test_beside_lines_with_hashes_the_carried_wheels_have_theirs(
    repository: Path, tmp_path: Path
) -> None:
    """pip takes a file with one hash only if each line has one. Here the real pip reads it."""
    line = requirement_of(write_wheel(tmp_path, "pinned", "1.0")).replace(" --", " \\\n    --")
    (repository / "requirements.txt").write_text(f"--find-links {tmp_path}\n{line}")
    written = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle").files
    carried = keep_small_wheel(repository)
    text = written["requirements.txt"].decode()
    on_mwaa = f"/usr/local/airflow/plugins/wheels/{carried.name}"
    assert f"{on_mwaa} --hash=sha256:" in text

    requirements = tmp_path / "requirements.txt"
    without_constraint = text.partition("\n")[2]
    requirements.write_text(without_constraint.replace(on_mwaa, str(carried)))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--target", str(tmp_path / "installed"), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_hashes_in_a_file_of_the_dags_folder_count_too(repository: Path, tmp_path: Path) -> None:
    (repository / "dags" / "locked.txt").write_text("six==1.0 --hash=sha256:00\n")
    (repository / "requirements.txt").write_text("-r /usr/local/airflow/dags/locked.txt\n")
    written = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle").files
    carried = keep_small_wheel(repository)
    assert f"{carried.name} --hash=sha256:" in written["requirements.txt"].decode()


def test_a_project_that_installs_the_library_by_a_path_is_refused(
    repository: Path, tmp_path: Path
) -> None:
    with (repository / "requirements.txt").open("a") as requirements:
        requirements.write("wheels/athena_reports-0.2.0-py3-none-any.whl\n")
    with pytest.raises(DeployError, match="installs this library, which the bundle has"):
        build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def constraints_path() -> str:
    content = bundle_module.CONSTRAINTS.read_bytes()
    return f"dags/constraints-{hashlib.sha256(content).hexdigest()[:8]}.txt"


def files_of(folder: str) -> set[str]:
    root = ROOT / folder
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in files
        if "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_where_mwaa_puts_it_the_library_finds_the_sql(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "usr" / "local" / "airflow"
    build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    shutil.copytree(tmp_path / "bundle" / "dags", home / "dags")
    with zipfile.ZipFile(tmp_path / "bundle" / "plugins.zip") as plugins:
        plugins.extractall(home / "plugins")

    program = "from athena_reports.settings import settings; print(settings().sql_folder)"
    environment = {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(home / "plugins"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout

    assert Path(found.strip()) == home / "dags" / "include" / "sql"


def test_airflow_looks_at_the_dag_files_alone(repository: Path, tmp_path: Path) -> None:
    (repository / "include" / "helper.py").write_text(
        "raise RuntimeError('airflow looked for a dag')\n"
    )
    build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    folder = tmp_path / "bundle" / "dags"

    assert (folder / "include" / "helper.py").is_file()
    assert Repository(Project.usual(folder.parent)).files == sorted(folder.glob("*.py"))


def test_without_startup_sh_no_dag_file_is_imported_as_if_it_were_dev(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")

    for file, bag in Repository(Project.usual(tmp_path / "bundle")).bags.items():
        assert not bag.dags, file
        (error,) = bag.import_errors.values()
        assert "ATHENA_REPORTS_ENV is not set" in error


def test_the_constraints_that_requirements_name_pin_what_is_tested_and_have_their_own_name(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else workers that start after an update has failed would install other
    packages than others have.
    """
    first = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle").files
    named = constraints_path()
    assert first["requirements.txt"].startswith(
        f'--constraint "/usr/local/airflow/{named}"\n'.encode()
    )
    pins = (ROOT / "dev" / "pins" / "dev.txt").read_text()
    tested = re.findall(r"^(?:duckdb|slack-sdk|xlsxwriter)==\S+", pins, re.MULTILINE)
    named_lines = first[named].decode().splitlines()
    shipped = [line for line in named_lines if not line.startswith("#")]
    assert shipped == tested

    changed_constraints = tmp_path / "constraints.txt"
    changed_constraints.write_text(bundle_module.CONSTRAINTS.read_text() + "duckdb==1.4.0\n")
    monkeypatch.setattr(bundle_module, "CONSTRAINTS", changed_constraints)
    second = build_bundle(Project.usual(repository), "prd", tmp_path / "bundle").files
    changed = {path for path in first | second if first.get(path) != second.get(path)}
    assert changed == {named, constraints_path(), "requirements.txt"}


def test_variables_are_those_of_the_stack_of_a_script_and_of_the_environment_which_wins(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "deploy" / "environments" / "qa.sh").write_text(
        "export TEAM=ours ATHENA_REPORTS_ENV=theirs"
    )
    (repository / "deploy" / "environments" / "qa.env").write_text(
        "# ours\n\n  # theirs\nATHENA_REPORTS_BUCKET=acme-reports\n"
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/of=qa/\n"
        "ATHENA_REPORTS_SQL_FOLDER=/usr/local/airflow/dags/theirs\n"  # which is not here
    )
    settings = {"ATHENA_REPORTS_BUCKET": "of-the-stack", "ATHENA_REPORTS_WORKGROUP": "a group"}
    build_bundle(Project.usual(repository), "qa", tmp_path / "bundle", settings)
    lines = (tmp_path / "bundle" / "startup.sh").read_text().splitlines()
    assert lines[0] == "export TEAM=ours ATHENA_REPORTS_ENV=theirs"
    assert lines[1:] == sorted(lines[1:])  # the same bytes in each deployment
    source = ["sh", "-c", '. "$0"; env', str(tmp_path / "bundle" / "startup.sh")]
    seen = subprocess.run(
        source, env={"HOME": "/x"}, capture_output=True, text=True, check=True
    ).stdout
    assert {line for line in seen.splitlines() if line[:4] in ("TEAM", "ATHE")} == {
        "TEAM=ours",
        "ATHENA_REPORTS_ENV=qa",
        "ATHENA_REPORTS_BUCKET=acme-reports",
        "ATHENA_REPORTS_WORKGROUP=a group",
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/of=qa/",
        "ATHENA_REPORTS_SQL_FOLDER=/usr/local/airflow/dags/theirs",
    }


@pytest.mark.parametrize("environment", ["production", "", "../environments/prd"])
def test_an_unknown_environment_is_refused_with_those_that_there_are(
    repository: Path, tmp_path: Path, environment: str
) -> None:
    says = (
        f"There is no environment {environment!r}: deploy/environments/ has dev, prd, stg. Name one"
        " of them, or describe a new one in deploy/environments/<name>.env."
    )
    with pytest.raises(DeployError, match=f"^{re.escape(says)}$"):
        build_bundle(Project.usual(repository), environment, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_where_no_environment_is_described_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    with pytest.raises(DeployError, match=r"'prd': deploy/environments/ has none\. Name one of"):
        build_bundle(Project.usual(tmp_path), "prd", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("BUCKET=acme", "line 1: 'BUCKET=acme' is not a setting"),
        ("ATHENA_REPORTS_BUCKET", "is not a setting"),
        ("ATHENA_REPORTS_ENV=dev", "ATHENA_REPORTS_ENV is set already"),
        ("ATHENA_REPORTS_POOL=a\n# b\nATHENA_REPORTS_POOL=a", "line 3: 'ATHENA_REPORTS_POOL=a' is"),
        (
            "ATHENA_REPORTS_BUCKET=Acme_Reports",
            "ATHENA_REPORTS_BUCKET is 'Acme_Reports'. Set it to a bucket",
        ),
    ],
)
def test_a_wrong_setting_is_refused(
    repository: Path, tmp_path: Path, line: str, message: str
) -> None:
    (repository / "deploy" / "environments" / "prd.env").write_text(f"{line}\n")
    with pytest.raises(DeployError, match=r"prd\.env.*") as failure:
        build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    assert message in str(failure.value)


@pytest.mark.parametrize("path", [MAINTENANCE, "plugins/athena_reports/reports/sql_template.py"])
def test_a_file_with_a_syntax_error_is_refused_by_its_line(
    repository: Path, tmp_path: Path, path: str
) -> None:
    lines = len((repository / path).read_text().splitlines())
    with (repository / path).open("a") as file:
        file.write("def broken(:\n")
    with pytest.raises(DeployError, match=rf"{path}, line {lines + 1} is not Python"):
        build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", [b"# dag\n\0\n", b"# coding: nonsense\n"])
def test_a_file_that_is_no_python_at_all_is_refused_by_its_name(
    repository: Path, tmp_path: Path, content: bytes
) -> None:
    """Python names no line of it."""
    (repository / MAINTENANCE).write_bytes(content)
    with pytest.raises(DeployError, match=rf"^[^,]*/{MAINTENANCE} is not Python: .*\.$"):
        build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_symbolic_link_is_refused(repository: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "elsewhere"
    if kind == "folder":
        target.mkdir()
    else:
        target.write_text("secret")
    (repository / "plugins" / "secrets").symlink_to(target)
    with pytest.raises(DeployError, match="plugins/secrets is a symbolic link"):
        build_bundle(Project.usual(repository), "prd", tmp_path / "bundle")


def test_the_folder_is_replaced_and_everybody_may_read_it(repository: Path, tmp_path: Path) -> None:
    """Whatever the shell takes away from new files, and whatever lay there."""
    folder = tmp_path / "bundle"
    (folder / "dags").mkdir(parents=True)
    (folder / "dags" / "gone.py").write_text("# airflow dag")
    before = os.umask(0o077)
    try:
        built = build_bundle(Project.usual(repository), "prd", folder)
    finally:
        os.umask(before)
    assert contents(folder) == dict(built.files)
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o644}
    with zipfile.ZipFile(folder / "plugins.zip") as plugins:
        entries = plugins.infolist()
    assert [entry.filename for entry in entries] == sorted(plugins.namelist())
    assert {(e.create_system, e.external_attr >> 16, e.compress_type) for e in entries} == {
        (3, 0o100644, zipfile.ZIP_STORED)
    }
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}


def test_a_folder_that_cannot_be_written_is_one_message(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match=f"{tmp_path}/file"):
        build_bundle(Project.usual(repository), "prd", tmp_path / "file" / "bundle")


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
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_a_bundle_is_merged_into_an_environment_that_is_there(
    repository: Path, tmp_path: Path
) -> None:
    write_environment(tmp_path / "environment", "team.py", "drafts/later.py")
    of_project = repository / "plugins" / ".airflowignore"
    of_project.write_text(f"parts/**\n{of_project.read_text()}")
    (repository / "plugins" / "parts").mkdir()
    (repository / "plugins" / "parts" / "words.py").touch()
    build_bundle(Project.usual(repository), "prd", tmp_path / "dist" / "mwaa")
    first, *lines = (tmp_path / "dist" / "mwaa" / "requirements.txt").read_text().splitlines()

    for _ in ("first release", "next release"):
        done = merge(tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    merged = tmp_path / "merged"
    # What forces the image's constraints on the environment's packages is that no line has this.
    assert first.startswith("--constraint ")
    requirements = (merged / "requirements.txt").read_text()
    assert requirements.splitlines() == [*lines, "requests>=2"]
    assert not re.search("-c |--constraint ", requirements)
    script = f"source {merged / 'startup.sh'}"
    shown = f"trap env EXIT; {script}"
    variables = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True)
    assert {"ATHENA_REPORTS_ENV=prd", "TEAM=analytics"} <= set(variables.stdout.splitlines())
    with zipfile.ZipFile(tmp_path / "dist" / "mwaa" / "plugins.zip") as archive:
        of_the_bundle = archive.namelist()
    with zipfile.ZipFile(merged / "plugins.zip") as archive:
        assert set(of_the_bundle) <= set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    found = find_path_from_directory(tmp_path / "installed", ".airflowignore")
    paths = [Path(path) for path in found]
    read = sorted(path.name for path in paths if path.suffix == ".py")
    assert read == ["athena_reports_plugin.py", "team.py"]


def test_a_file_that_both_have_stops_the_merge(repository: Path, tmp_path: Path) -> None:
    write_environment(tmp_path / "environment", "athena_reports_plugin.py")
    build_bundle(Project.usual(repository), "prd", tmp_path / "dist" / "mwaa")

    done = merge(tmp_path)

    assert done.returncode != 0
    assert "replace merged/plugins/athena_reports_plugin.py?" in done.stdout + done.stderr
    assert not (tmp_path / "merged" / "plugins.zip").exists()
