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

from deploy.__main__ import main
from deploy.bundle import build_bundle
from deploy.errors import BundleError
from report_rules.dag_rules import Repository

ROOT = Path(__file__).resolve().parents[2]
MAINTENANCE = "dags/athena_reports_maintenance.py"
SHIPPED = ("dags", "include", "plugins", "deploy/environments", "deploy/constraints.txt", "requirements.txt")


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
        return repository

    return copy


@pytest.fixture
def repository(copy_repository: Callable[[str], Path]) -> Path:
    return copy_repository("repository")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_folders_two_times_and_two_users_masks_give_the_same_bytes(
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
        (second / folder / ".DS_Store").write_bytes(os.urandom(8))
        (second / folder / "settings.py~").write_bytes(os.urandom(8))

    mask = os.umask(0o022)
    try:
        build_bundle(first, "prd", tmp_path / "a")
        os.umask(0o077)
        build_bundle(second, "prd", tmp_path / "b")
    finally:
        os.umask(mask)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    modes = [
        {str(path.relative_to(folder)): path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert modes[0] == modes[1]


def test_environments_differ_in_startup_sh_alone(repository: Path, tmp_path: Path) -> None:
    build_bundle(repository, "stg", tmp_path / "stg")
    build_bundle(repository, "prd", tmp_path / "prd")

    stg, prd = contents(tmp_path / "stg"), contents(tmp_path / "prd")
    assert {path for path in stg if stg[path] != prd[path]} == {"startup.sh", "SHA256SUMS"}
    assert stg["startup.sh"] == b"export ATHENA_REPORTS_ENV=stg\n"


def test_what_did_not_change_keeps_its_time_and_what_is_gone_goes(repository: Path, tmp_path: Path) -> None:
    folder, gone = tmp_path / "bundle", repository / "dags" / "gone.py"
    gone.write_text("# no report any more\n")
    build_bundle(repository, "prd", folder)
    assert (folder / "dags" / "gone.py").is_file()
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))
    gone.unlink()
    with (repository / MAINTENANCE).open("a") as file:
        file.write("# Reviewed.\n")

    build_bundle(repository, "prd", folder)

    assert not (folder / "dags" / "gone.py").exists()
    written = {path for path in contents(folder) if (folder / path).stat().st_mtime != 1e9}
    assert written == {MAINTENANCE, "SHA256SUMS"}


def test_the_package_is_in_it_and_nothing_else(tmp_path: Path) -> None:
    """Of the repository itself; tests, demo, local services and tools have no place on MWAA."""
    bundle = build_bundle(ROOT, "prd", tmp_path / "bundle")

    expected = {"plugins.zip", "requirements.txt", "startup.sh", "SHA256SUMS"}
    expected |= {constraints_of((ROOT / "deploy" / "constraints.txt").read_bytes())}
    expected |= {f"dags/{path}" for path in files_of("dags")}
    expected |= {f"dags/include/{path}" for path in files_of("include")}
    assert set(bundle.files) == set(contents(bundle.folder)) == expected
    with zipfile.ZipFile(bundle.folder / "plugins.zip") as plugins:
        assert set(plugins.namelist()) == files_of("plugins")
        text = b"".join(plugins.read(name) for name in plugins.namelist())
    text += b"".join(contents(bundle.folder / "dags").values())
    for module in ("local_aws", "airflow_local", "demo", "deploy", "bench", "tests", "pytest", "moto", "pyarrow"):
        assert not re.search(rf"^\s*(from|import) {module}\b".encode(), text, re.MULTILINE), module


def constraints_of(content: bytes) -> str:
    return f"dags/constraints-{hashlib.sha256(content).hexdigest()[:8]}.txt"


def files_of(folder: str) -> set[str]:
    root = ROOT / folder
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if "__pycache__" not in path.parts and path.suffix != ".pyc"}


def test_the_checksums_are_those_of_every_file(repository: Path, tmp_path: Path) -> None:
    bundle = build_bundle(repository, "prd", tmp_path / "bundle")

    lines = (bundle.folder / "SHA256SUMS").read_text().splitlines()
    files = contents(bundle.folder)
    del files["SHA256SUMS"]
    assert lines == [f"{hashlib.sha256(files[path]).hexdigest()}  {path}" for path in sorted(files)]


def test_where_mwaa_puts_it_the_library_finds_the_sql(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "usr" / "local" / "airflow"
    bundle = build_bundle(repository, "prd", tmp_path / "bundle")
    shutil.copytree(bundle.folder / "dags", home / "dags")
    with zipfile.ZipFile(bundle.folder / "plugins.zip") as plugins:
        plugins.extractall(home / "plugins")

    program = "from athena_reports.settings import settings; print(settings().sql_folder)"
    environment = {"PYTHONPATH": str(home / "plugins"), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert Path(found.strip()) == home / "dags" / "include" / "sql"


def test_airflow_looks_at_the_dag_files_alone(repository: Path, tmp_path: Path) -> None:
    (repository / "include" / "helper.py").write_text("raise RuntimeError('airflow looked for a dag')\n")
    folder = build_bundle(repository, "prd", tmp_path / "bundle").folder / "dags"

    assert (folder / "include" / "helper.py").is_file()
    assert Repository(folder.parent).files == sorted(folder.glob("*.py"))


def test_without_startup_sh_no_dag_file_is_imported_as_if_it_were_dev(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    folder = build_bundle(repository, "prd", tmp_path / "bundle").folder

    for file, bag in Repository(folder).bags.items():
        assert not bag.dags, file
        (error,) = bag.import_errors.values()
        assert "ATHENA_REPORTS_ENV is not set" in error


def test_the_constraints_that_requirements_name_are_shipped_and_pin_what_is_tested(
    repository: Path, tmp_path: Path
) -> None:
    files = contents(build_bundle(repository, "prd", tmp_path / "bundle").folder)

    named = constraints_of((ROOT / "deploy" / "constraints.txt").read_bytes())
    assert files["requirements.txt"].startswith(f'--constraint "/usr/local/airflow/{named}"\n'.encode())
    tested = re.findall(r"^duckdb==\S+", (ROOT / "dev" / "pins" / "dev.txt").read_text(), re.MULTILINE)
    assert [line for line in files[named].decode().splitlines() if not line.startswith("#")] == tested


def test_an_environments_variables_are_exported_as_they_are(repository: Path, tmp_path: Path) -> None:
    (repository / "deploy" / "environments" / "qa.env").write_text(
        "# ours\n\nATHENA_REPORTS_BUCKET=acme-reports\nATHENA_REPORTS_MEMORY_LIMIT=256 MB\n"
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/\n"
    )
    bundle = build_bundle(repository, "qa", tmp_path / "bundle")

    source = ["sh", "-c", '. "$0"; env', str(bundle.folder / "startup.sh")]
    seen = subprocess.run(source, env={"HOME": "/x"}, capture_output=True, text=True, check=True).stdout
    assert {line for line in seen.splitlines() if line.startswith("ATHENA_REPORTS_")} == {
        "ATHENA_REPORTS_ENV=qa",
        "ATHENA_REPORTS_BUCKET=acme-reports",
        "ATHENA_REPORTS_MEMORY_LIMIT=256 MB",
        "ATHENA_REPORTS_QUERY_RESULTS=s3://acme-results/$HOME/",
    }
    assert bundle.unset == ""


def test_other_constraints_have_another_name_and_make_another_requirements_txt(
    repository: Path, tmp_path: Path
) -> None:
    """Or workers that start later would install other packages than others have."""
    build_bundle(repository, "prd", tmp_path / "first")
    with (repository / "deploy" / "constraints.txt").open("a") as constraints:
        constraints.write("duckdb==1.4.0\n")
    build_bundle(repository, "prd", tmp_path / "second")

    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    changed = {path for path in first | second if first.get(path) != second.get(path)}
    names = {constraints_of((repository / "deploy" / "constraints.txt").read_bytes())}
    names |= {constraints_of((ROOT / "deploy" / "constraints.txt").read_bytes())}
    assert changed == names | {"requirements.txt", "SHA256SUMS"}


def test_a_startup_script_of_ones_own_comes_first(repository: Path, tmp_path: Path) -> None:
    script = "export TEAM=ours\nexport ATHENA_REPORTS_ENV=theirs"
    (repository / "deploy" / "environments" / "stg.sh").write_text(script)
    bundle = build_bundle(repository, "stg", tmp_path / "bundle")

    source = ["sh", "-c", '. "$0"; echo $TEAM $ATHENA_REPORTS_ENV', str(bundle.folder / "startup.sh")]
    assert subprocess.run(source, capture_output=True, text=True, check=True).stdout == "ours stg\n"


def test_a_bundle_says_which_variable_aws_still_lacks(repository: Path, tmp_path: Path) -> None:
    bundle = build_bundle(repository, "prd", tmp_path / "bundle")
    assert bundle.unset.startswith("ATHENA_REPORTS_QUERY_RESULTS is not set.")


@pytest.mark.parametrize("environment", ["production", "", "../environments/prd"])
def test_an_unknown_environment_is_refused_with_those_that_there_are(
    repository: Path, tmp_path: Path, environment: str
) -> None:
    with pytest.raises(BundleError, match=r"no environment .* has dev, prd, stg"):
        build_bundle(repository, environment, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("BUCKET=acme", "line 1: 'BUCKET=acme' is not a setting"),
        ("ATHENA_REPORTS_BUCKET", "is not a setting"),
        ("ATHENA_REPORTS_ENV=dev", "ATHENA_REPORTS_ENV is set already"),
        ("ATHENA_REPORTS_BUCKET=Acme_Reports", "ATHENA_REPORTS_BUCKET is 'Acme_Reports': expected a bucket"),
    ],
)
def test_a_wrong_setting_is_refused(repository: Path, tmp_path: Path, line: str, message: str) -> None:
    (repository / "deploy" / "environments" / "prd.env").write_text(f"{line}\n")
    with pytest.raises(BundleError, match=r"prd\.env.*") as failure:
        build_bundle(repository, "prd", tmp_path / "bundle")
    assert message in str(failure.value)


@pytest.mark.parametrize("path", [MAINTENANCE, "plugins/athena_reports/reports/sql_template.py"])
def test_a_file_with_a_syntax_error_is_refused_by_its_line(repository: Path, tmp_path: Path, path: str) -> None:
    lines = len((repository / path).read_text().splitlines())
    with (repository / path).open("a") as file:
        file.write("def broken(:\n")
    with pytest.raises(BundleError, match=rf"{path}, line {lines + 1} is not Python"):
        build_bundle(repository, "prd", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_file_that_cannot_be_read_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "requirements.txt").unlink()
    with pytest.raises(BundleError, match=r"requirements\.txt cannot be read: No such file"):
        build_bundle(repository, "prd", tmp_path / "bundle")


@pytest.mark.parametrize("link", ["dags/secret.py", "plugins/secrets"])
def test_a_symbolic_link_is_refused(repository: Path, tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (repository / link).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=f"{link} is a symbolic link"):
        build_bundle(repository, "prd", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_repository_without_a_dag_is_refused(repository: Path, tmp_path: Path) -> None:
    for path in (repository / "dags").glob("*.py"):
        path.unlink()
    with pytest.raises(BundleError, match="no DAG file"):
        build_bundle(repository, "prd", tmp_path / "bundle")


def test_a_folder_with_something_else_in_it_is_left_alone(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="something else than a bundle"):
        build_bundle(repository, "prd", folder)
    assert contents(folder) == {"thesis.txt": b"years of work"}


def test_the_command_tells_an_error_in_a_line_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "--env", "nope", "--to", str(tmp_path / "bundle")]) == 1
    assert "There is no environment 'nope'" in capsys.readouterr().err
