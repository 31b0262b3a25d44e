"""What an MWAA environment takes, in one folder: the same bytes whenever and wherever it is built.

    dags/               for the environment's dags/ prefix: DAG files, include/,
                        constraints-<checksum>.txt
    plugins.zip         the plugins folder with the library; wheels/ with what the image lacks
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
from athena_reports.settings import read_settings
from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import HOME, DeployError
from athena_reports_cli.mwaa.requirements import asks_for_hashes, bundled_requirements
from athena_reports_cli.mwaa.wheels import CACHE, FOLDER, carried_wheels, wheel_lines

BUNDLE = PurePosixPath("dist/mwaa")
"""The folder of the bundle in a project."""
PREFIX = "ATHENA_REPORTS_"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""The versions of what requirements.txt adds to the image."""

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

    Args:
        project: What it is built of.
        environment: Its name, as in the project's folder of environments.
        folder: Where it is written.
        settings: The variables that the stack gives. Those of deploy/environments/<env>.env have
            the last word.

    Raises:
        DeployError: A file of the project is wrong or missing, or a wheel could not be downloaded:
            the folder is as it was. Or the folder cannot be written.
    """
    try:
        bundle = _bundle(project, environment, settings or {})
        _replace_folder(folder, bundle.files)
    except OSError as error:
        raise DeployError(str(error)) from error
    return bundle


def _bundle(project: Project, environment: str, settings: Mapping[str, str]) -> Bundle:
    """Return the bundle of an environment."""
    variables = dict(settings)
    variables.update(_variables(project, environment))
    requirements = bundled_requirements((project.root / "requirements.txt").read_text())
    files = {}
    for path, content in _tree(project.dags).items():
        files[f"dags/{path}"] = content
    plugins = _plugins(project)
    for path, content in _tree(project.include).items():
        files[f"dags/include/{path}"] = content
    startup = _startup_script(project, environment, variables)

    constraints = CONSTRAINTS.read_bytes()
    # MWAA pins requirements.txt by its version, and reads the constraints whenever a worker starts.
    # Named by their content, they are always those that requirements.txt was written with.
    digest = hashlib.sha256(constraints).hexdigest()
    constraints_path = f"dags/constraints-{digest[:8]}.txt"
    wheels = carried_wheels(project.root / CACHE)
    for name, content in wheels.items():
        plugins[str(FOLDER / name)] = content
    lines = [f'--constraint "{HOME / constraints_path}"']
    lines += wheel_lines(
        wheels, HOME / "plugins", hashes=asks_for_hashes(requirements, project.dags)
    )
    lines.append(requirements)

    files[constraints_path] = constraints
    files["plugins.zip"] = _zip(plugins)
    files["requirements.txt"] = "\n".join(lines).encode()
    files["startup.sh"] = startup.encode()
    return Bundle(files, variables)


def _replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o644)


def _startup_script(project: Project, environment: str, variables: Mapping[str, str]) -> str:
    """Return the text of startup.sh: the environment's own script, then the variables."""
    lines = []
    script = project.environments / f"{environment}.sh"
    if script.exists():
        lines.append(script.read_text().removesuffix("\n"))
    for name, value in sorted(variables.items()):
        lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join(lines) + "\n"


def _variables(project: Project, environment: str) -> dict[str, str]:
    """The variables that an environment's file and its name give."""
    folder = project.environments.relative_to(project.root)
    path = project.environments / f"{environment}.env"
    environments = sorted(file.stem for file in project.environments.glob("*.env"))
    if environment not in environments:
        known = ", ".join(environments) or "none"
        raise DeployError(
            f"There is no environment {environment!r}: {folder}/ has {known}. Name one of them, or"
            f" describe a new one in {folder}/<name>.env."
        )
    variables = {f"{PREFIX}ENV": environment}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        is_setting = equals != "" and name.startswith(PREFIX)
        if not is_setting or name in variables:
            raise DeployError(
                f"{path}, line {number}: {line!r} is not a setting. Write {PREFIX}<NAME>=<value>,"
                f" without spaces around the =, each name once; {PREFIX}ENV is set already."
            )
        variables[name] = value
    # A local endpoint lets buckets be unset, and a folder of MWAA's cannot be looked at here.
    read_here = dict(variables)
    read_here[f"{PREFIX}SQL_FOLDER"] = ""
    read_here["AIRFLOW__CORE__DAGS_FOLDER"] = str(project.dags)
    read_here["AWS_ENDPOINT_URL"] = "http://127.0.0.1"
    try:
        read_settings(read_here)
    except SettingsError as error:
        raise DeployError(f"{path}: {error}") from error
    return variables


def _plugins(project: Project) -> dict[str, bytes]:
    """The plugins folder of the project with the library, by paths in it."""
    files = {}
    if project.plugins.is_dir():
        files = _tree(project.plugins)
    if "athena_reports/__init__.py" not in files:
        files.update(_installed_library())
        # Of the library, Airflow looks at the plugin alone.
        files[_IGNORED] = files.get(_IGNORED, b"") + b"\nathena_reports/**\n"
    return files


def _installed_library() -> dict[str, bytes]:
    """The library that runs this, for a project that has installed it as a package."""
    package = Path(athena_reports.__file__).parent
    files = {f"{package.name}/{path}": content for path, content in _tree(package).items()}
    # The wheel has this module for bundles alone. Where the wheel is installed, Airflow finds the
    # plugin by its entry point.
    plugin = package.with_name("athena_reports_plugin.py")
    files[plugin.name] = plugin.read_bytes()
    return files


def _tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder that a bundle ships, by their paths in it.

    Python is compiled to see its errors.
    """
    contents = {}
    for file in _files(folder):
        content = file.read_bytes()
        contents[file.relative_to(folder).as_posix()] = content
        if file.suffix == ".py":
            _require_python(file, content)
    return contents


def _require_python(file: Path, content: bytes) -> None:
    try:
        compile(content, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # up to Python 3.11.3, ValueError of a NUL byte
        line = getattr(error, "lineno", None)
        place = f"{file}, line {line}" if line else str(file)
        raise DeployError(f"{place} is not Python: {error}.") from error


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below it, without hidden ones and those that tools make."""
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".") and path.name != _IGNORED
        if is_hidden or path.name.endswith(_MADE_BY_TOOLS):
            continue
        if path.is_symlink():
            raise DeployError(
                f"{path} is a symbolic link, which could ship a file from elsewhere. Copy the file."
            )
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _zip(files: Mapping[str, bytes]) -> bytes:
    """An archive that tells nothing of when and where it was made.

    It is not compressed: compressors differ between versions of their library.
    """
    archive = io.BytesIO()
    earliest = (1980, 1, 1, 0, 0, 0)  # that an archive can tell
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, earliest)
            entry.create_system = 3  # Unix
            entry.external_attr = 0o100644 << 16  # a file that its owner may write
            writer.writestr(entry, files[path])
    return archive.getvalue()
