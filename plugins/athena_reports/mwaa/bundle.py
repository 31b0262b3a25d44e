"""What an MWAA environment takes, in one folder: the same bytes whenever and wherever it is built.

    dags/               for the environment's dags/ prefix: DAG files, include/,
                        constraints-<checksum>.txt
    plugins.zip         the plugin and the library, without what authors and deployments run;
                        wheels/ with what the image lacks
    requirements.txt    what pip installs: those wheels by their paths, then the project's lines
    startup.sh          the environment's variables, after deploy/environments/<env>.sh
                        if there is one

MWAA ships nothing but these, so include/ is moved into dags/, where the library finds it too.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import athena_reports
from athena_reports.errors import SettingsError
from athena_reports.local.project import Project
from athena_reports.mwaa import DeployError
from athena_reports.mwaa.requirements import bundled_requirements
from athena_reports.mwaa.wheels import CACHE, FOLDER, carried_wheels, wheel_lines
from athena_reports.settings import read_settings

HOME = PurePosixPath("/usr/local/airflow")
"""AIRFLOW_HOME on MWAA; `dags/`, `plugins/`, `requirements/` and `startup/` lie in it."""
BUNDLE = PurePosixPath("dist/mwaa")
"""The folder of the bundle in a project."""
PREFIX = "ATHENA_REPORTS_"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""The versions of what requirements.txt adds to the image."""

# Parts of the library that no process on MWAA imports.
_LEFT_OUT = (
    "athena_reports/__main__.py",
    "athena_reports/authors/",
    "athena_reports/local/",
    "athena_reports/mwaa/",
)
# A copy of plugins/athena_reports_plugin.py, in whose place a wheel has an entry point.
_PLUGIN = Path(__file__).with_name("athena_reports_plugin.txt")
_IGNORED = ".airflowignore"
_MADE_BY_TOOLS = ("__pycache__", "~", ".pyc", ".pyo", ".swp", ".orig", ".rej")


@dataclass(frozen=True)
class Bundle:
    """A bundle: contents by path, and what startup.sh sets."""

    files: Mapping[str, bytes]
    variables: Mapping[str, str]


def build_bundle(
    project: Project, environment: str, folder: Path, settings: Mapping[str, str] | None = None
) -> Bundle:
    """Write the bundle of an environment into a folder, in place of what is there.

    `settings` are the variables that the stack gives; those of deploy/environments/<env>.env have
    the last word.
    """
    variables = {**(settings or {}), **_variables(project, environment)}
    requirements = bundled_requirements((project.root / "requirements.txt").read_text())
    dags = _tree(project.dags)
    plugins = _plugins(project)
    include = _tree(project.include)
    script = project.environments / f"{environment}.sh"
    startup = [script.read_text().removesuffix("\n")] if script.exists() else []
    startup += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    constraints = CONSTRAINTS.read_bytes()
    # MWAA pins requirements.txt by its version, and reads the constraints whenever a worker starts.
    # Named by their content, they are always those that requirements.txt was written with.
    named = f"dags/constraints-{hashlib.sha256(constraints).hexdigest()[:8]}.txt"
    wheels = carried_wheels(project.root / CACHE)
    for name, content in wheels.items():
        plugins[str(FOLDER / name)] = content
    lines = [f'--constraint "{HOME / named}"', *wheel_lines(wheels, HOME / "plugins")]
    files = {
        **{f"dags/{path}": content for path, content in dags.items()},
        **{f"dags/include/{path}": content for path, content in include.items()},
        named: constraints,
        "plugins.zip": _zip(plugins),
        "requirements.txt": "\n".join([*lines, requirements]).encode(),
        "startup.sh": "\n".join([*startup, ""]).encode(),
    }
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        (folder / path).chmod(0o644)
    return Bundle(files, variables)


def _variables(project: Project, environment: str) -> dict[str, str]:
    """The variables that an environment's file and its name give."""
    folder = project.environments.relative_to(project.root)
    path = project.environments / f"{environment}.env"
    known = sorted(each.stem for each in path.parent.glob("*.env"))
    if environment not in known:
        raise DeployError(
            f"There is no environment {environment!r}: {folder}/ has"
            f" {', '.join(known) or 'none'}. Name one of them, or describe a new one in"
            f" {folder}/<name>.env."
        )
    variables = {f"{PREFIX}ENV": environment}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.startswith(PREFIX) or name in variables:
            raise DeployError(
                f"{path}, line {number}: {line!r} is not a setting. Write {PREFIX}<NAME>=<value>,"
                f" without spaces around the =, each name once; {PREFIX}ENV is set already."
            )
        variables[name] = value
    # A local endpoint lets buckets be unset, and a folder of MWAA's cannot be looked at here.
    here = {
        f"{PREFIX}SQL_FOLDER": "",
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.dags),
        "AWS_ENDPOINT_URL": "http://127.0.0.1",
    }
    try:
        read_settings({**variables, **here})
    except SettingsError as error:
        raise DeployError(f"{path}: {error}") from error
    return variables


def _plugins(project: Project) -> dict[str, bytes]:
    """What of the plugins folder an environment needs, by its path in it."""
    files = {}
    if project.plugins.is_dir():
        files = _tree(project.plugins)
    if "athena_reports/__init__.py" not in files:
        files.update(_installed_library())
        # Of the library, Airflow looks at the plugin alone.
        files[_IGNORED] = files.get(_IGNORED, b"") + b"\nathena_reports/**\n"
    return {path: files[path] for path in files if not path.startswith(_LEFT_OUT)}


def _installed_library() -> dict[str, bytes]:
    """The library that runs this, for a project that has installed it as a package."""
    package = Path(athena_reports.__file__).parent
    files = {f"{package.name}/{path}": content for path, content in _tree(package).items()}
    files["athena_reports_plugin.py"] = _PLUGIN.read_bytes()
    return files


def _tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder that belong to the package, by their paths in it.

    Python is compiled to see its errors.
    """
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                compile(content, str(folder / path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                raise DeployError(f"{folder / path}{line} is not Python: {error}.") from error
    return files


def _files(folder: Path) -> Iterator[Path]:
    """The files that are no tool's."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != _IGNORED
        if not (hidden or path.name.endswith(_MADE_BY_TOOLS)):
            if path.is_symlink():
                raise DeployError(
                    f"{path} is a symbolic link, which could ship a file from elsewhere."
                    " Copy the file."
                )
            yield from _files(path) if path.is_dir() else [path]


def _zip(files: Mapping[str, bytes]) -> bytes:
    """An archive that tells nothing of when and where it was made.

    It is not compressed: compressors differ between versions of their library.
    """
    archive = io.BytesIO()
    earliest = (1980, 1, 1, 0, 0, 0)  # that an archive can tell
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, earliest)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # Unix, a file
            writer.writestr(entry, files[path])
    return archive.getvalue()
