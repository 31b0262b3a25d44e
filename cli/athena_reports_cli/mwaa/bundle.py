"""Builds the bundle: all that a deployment to Amazon MWAA uploads, in one folder.

    dags/                the project's DAG files, with include/ inside: MWAA ships no other folder
    plugins.zip          the project's plugins, the library, wheels/ and constraints.txt
    requirements.txt     what pip installs: the carried wheels, then the project's lines
    startup.sh           deploy/environments/<env>.sh if it exists, then the variables of <env>.env
    stack.yaml           the template of the environment's stack
    stack-policy.json    what an update of the stack must not replace or remove

The same sources give the same bytes, so a deployment updates Airflow only if something changed.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import athena_reports
from athena_reports.errors import SettingsError
from athena_reports.settings import read_settings
from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import FOLDER, HOME, BundleError
from athena_reports_cli.mwaa.requirements import bundled_requirements
from athena_reports_cli.mwaa.wheels import CACHE, carried_wheels

BUNDLE = PurePosixPath("dist/mwaa")
"""The folder of the bundle in a project."""
CONSTRAINTS = FOLDER / "constraints.txt"
"""The versions of what requirements.txt adds to the image."""

_STACK = ("stack.yaml", "stack-policy.json")
_SETTING = re.compile(r"(ATHENA_REPORTS_\w+)=(.*)")


def build_bundle(project: Project, environment: str) -> Path:
    """Write the bundle of an environment into the project's `dist/mwaa`, and return that folder.

    BundleError if a file is missing or wrong, or the carried wheels could not be downloaded.
    """
    folder = project.root / BUNDLE
    try:
        startup = _startup_script(project, environment)
        requirements = bundled_requirements((project.root / "requirements.txt").read_text())
        wheels = carried_wheels(project.root / CACHE)
        shutil.rmtree(folder, ignore_errors=True)
        _copy_tree(project.dags, folder / "dags")
        _copy_tree(project.include, folder / "dags" / "include")
        _write_plugins(project, wheels, folder / "plugins.zip")
        (folder / "requirements.txt").write_text(_pip_lines(wheels, requirements))
        (folder / "startup.sh").write_text(startup)
        for name in _STACK:
            shutil.copy(FOLDER / name, folder)
    except OSError as error:
        raise BundleError(str(error)) from error
    return folder


def _startup_script(project: Project, environment: str) -> str:
    """Return the text of startup.sh: the environment's own script, then its variables."""
    text = ""
    script = project.environments / f"{environment}.sh"
    if script.exists():
        text = script.read_text().removesuffix("\n") + "\n"
    for name, value in sorted(_variables(project, environment).items()):
        text += f"export {name}={shlex.quote(value)}\n"
    return text


def _variables(project: Project, environment: str) -> dict[str, str]:
    """Return the variables of an environment: those of its file, and its name."""
    path = project.environments / f"{environment}.env"
    variables = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        setting = _SETTING.fullmatch(line)
        if setting is None:
            raise BundleError(
                f'{path}, line {number}: "{line}" is not a setting. Use'
                " ATHENA_REPORTS_<NAME>=<value>, without spaces around the =."
            )
        variables[setting[1]] = setting[2]
    variables["ATHENA_REPORTS_ENV"] = environment
    # A local endpoint lets the buckets be unset: the stack names them.
    local = {"ATHENA_REPORTS_SQL_FOLDER": "", "AWS_ENDPOINT_URL": "http://127.0.0.1"}
    try:
        read_settings({**variables, **local})
    except SettingsError as error:
        raise BundleError(f"{path}: {error}") from error
    return variables


def _pip_lines(wheels: list[Path], requirements: list[str]) -> str:
    """Return the text of requirements.txt.

    The first line also keeps the image from forcing its own constraints. pip wants a hash either in
    every line or in none (https://pip.pypa.io/en/stable/topics/secure-installs/).
    """
    lines = [f'--constraint "{HOME}/plugins/{CONSTRAINTS.name}"']
    has_hashes = any("--hash=" in line for line in requirements)
    for wheel in wheels:
        line = f"{HOME}/plugins/wheels/{wheel.name}"
        if has_hashes:
            line += f" --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
        lines.append(line)
    return "\n".join([*lines, *requirements, ""])


def _write_plugins(project: Project, wheels: list[Path], archive: Path) -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _copy_tree(project.plugins, folder)
        if not (folder / "athena_reports").exists():
            _copy_installed_library(folder)
        (folder / "wheels").mkdir(exist_ok=True)
        for wheel in wheels:
            shutil.copy(wheel, folder / "wheels")
        shutil.copy(CONSTRAINTS, folder)
        _zip(folder, archive)


def _copy_installed_library(plugins: Path) -> None:
    """Copy the library of this Python, for a project that has installed it as a package."""
    package = Path(athena_reports.__file__).parent
    _copy_tree(package, plugins / package.name)
    # The wheel has this module for bundles alone: where the wheel is installed, Airflow finds the
    # plugin by its entry point.
    shutil.copy(package.with_name("athena_reports_plugin.py"), plugins)
    # Of the library, Airflow imports the plugin alone.
    with (plugins / ".airflowignore").open("a") as ignored:
        ignored.write(f"\n{package.name}/**\n")


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_never_shipped, dirs_exist_ok=True)


def _never_shipped(_: str, names: list[str]) -> set[str]:
    """Return the names that no bundle has: compiled Python, and hidden files with passwords."""
    unwanted = {name for name in names if name.startswith((".", "__pycache__"))}
    return unwanted - {".airflowignore"}


def _zip(folder: Path, archive: Path) -> None:
    """Write a zip that does not depend on when and where it is made.

    It is not compressed, since compressors differ between versions of their library.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # of 1980-01-01
                entry.external_attr = 0o100644 << 16  # a file that everybody may read
                writer.writestr(entry, path.read_bytes())
