"""What an MWAA environment takes, in one folder: the same bytes whenever and wherever it is built.

    dags/               for the environment's dags/ prefix: DAG files, include/, constraints-<checksum>.txt
    plugins.zip         the plugin and the library
    requirements.txt    what pip installs
    startup.sh          the environment's variables, after deploy/environments/<env>.sh if there is one
    SHA256SUMS          of all of these, for `sha256sum --check`

MWAA ships nothing but these, so include/ is moved into dags/, where the library finds it too.
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from athena_reports.errors import SettingsError
from athena_reports.settings import read_settings
from deploy.errors import BundleError, CheckError
from deploy.image import HOME

CHECKSUMS = "SHA256SUMS"
ENVIRONMENTS = PurePosixPath("deploy/environments")
PREFIX = "ATHENA_REPORTS_"

_CONSTRAINTS = "constraints.txt"
_IGNORE_FILE = ".airflowignore"
_MADE_BY_TOOLS = ("~", ".pyc", ".pyo", ".swp", ".orig", ".rej")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip archive can tell
_FILE_MODE = stat.S_IFREG | 0o644
_UNIX = 3


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        folder: Where it is.
        files: Paths inside it, sorted.
        unset: What has no value in AWS yet, and no default there; empty if nothing is missing.
    """

    folder: Path
    files: tuple[str, ...]
    unset: str


def build_bundle(repository: Path, environment: str, folder: Path) -> Bundle:
    """Write the bundle of an environment.

    A file whose bytes do not change is left alone, with its time, so that `aws s3 sync` uploads what changed.

    Args:
        repository: Folder that holds dags/, include/, plugins/, deploy/ and requirements.txt.
        environment: Its short name: that of a file in deploy/environments/.
        folder: Where to write; what else a bundle there holds is removed.

    Raises:
        BundleError: The environment is unknown, a file cannot be read or compiled, a variable is wrong, or
            the folder holds something else than a bundle.
    """
    variables = _variables(repository, environment)
    script = repository / ENVIRONMENTS / f"{environment}.sh"
    files = _contents(repository, variables, _read(script).decode() if script.exists() else "")
    sums = "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))
    files[CHECKSUMS] = sums.encode()
    _write(files, folder)
    return Bundle(folder, tuple(sorted(files)), settings_problem(variables))


def read_bundle(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle by their paths in it.

    Raises:
        CheckError: The folder does not hold a bundle as it was built.
    """
    sums = folder / CHECKSUMS
    if not sums.is_file():
        raise CheckError(f"There is no bundle in {folder}: build it with `make bundle`.")
    files = {}
    for line in sums.read_text().splitlines():
        digest, path = line.split("  ", 1)
        file = folder / path
        files[path] = file.read_bytes() if file.is_file() else b""
        if not file.is_file() or hashlib.sha256(files[path]).hexdigest() != digest:
            raise CheckError(f"{file} is not the one that was built: build the bundle again.")
    return files


def sources(environment: str) -> tuple[str, ...]:
    """Folders and files of the repository that the bundle of an environment is made of."""
    own = (f"{ENVIRONMENTS}/{environment}.env", f"{ENVIRONMENTS}/{environment}.sh")
    return ("dags", "include", "plugins", "requirements.txt", f"deploy/{_CONSTRAINTS}", *own)


def is_shipped(name: str) -> bool:
    """Whether a file or folder of that name belongs to the package."""
    hidden = name.startswith(".") and name != _IGNORE_FILE
    return not (hidden or name == "__pycache__" or name.endswith(_MADE_BY_TOOLS))


def is_constraints(path: str) -> bool:
    """Whether a path in a bundle is that of the constraints that its requirements.txt names."""
    return re.fullmatch(r"dags/constraints-[0-9a-f]{8}\.txt", path) is not None


def _contents(repository: Path, variables: Mapping[str, str], script: str) -> dict[str, bytes]:
    dags = _tree(repository / "dags")
    if not any(path.endswith(".py") for path in dags):
        raise BundleError(f"There is no DAG file in {repository / 'dags'}.")
    plugins = _tree(repository / "plugins")
    for folder, tree in (("dags", dags), ("plugins", plugins)):
        _compile(repository / folder, tree)
    requirements = _read(repository / "requirements.txt").decode()
    files = {f"dags/{path}": content for path, content in dags.items()}
    files |= {f"dags/include/{path}": content for path, content in _tree(repository / "include").items()}
    constraints = _read(repository / "deploy" / _CONSTRAINTS)
    # MWAA pins requirements.txt by its version, and reads the constraints whenever a worker starts. Named by
    # their content, they are always those that requirements.txt was written with.
    named = f"dags/constraints-{hashlib.sha256(constraints).hexdigest()[:8]}.txt"
    files[named] = constraints
    files["plugins.zip"] = _zip(plugins)
    files["requirements.txt"] = f'--constraint "{HOME / named}"\n{requirements}'.encode()
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    separator = "\n" if script and not script.endswith("\n") else ""
    files["startup.sh"] = f"{script}{separator}{exports}".encode()
    return files


def _variables(repository: Path, environment: str) -> dict[str, str]:
    """The variables that startup.sh sets.

    Raises:
        BundleError: The environment is unknown, or its file is wrong.
    """
    folder = repository / ENVIRONMENTS
    known = sorted(path.stem for path in folder.glob("*.env"))
    if environment not in known:
        raise BundleError(
            f"There is no environment {environment!r}: {ENVIRONMENTS}/ has {', '.join(known) or 'none'}. "
            f"Name one of them, or describe a new one in {ENVIRONMENTS}/<name>.env."
        )
    return variables_in(folder / f"{environment}.env", environment)


def variables_in(path: Path, environment: str) -> dict[str, str]:
    """The variables that an environment's file and its name give.

    Raises:
        BundleError: The file has a line that is not a setting.
    """
    variables = {f"{PREFIX}ENV": environment}
    for number, line in enumerate(_read(path).decode().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.startswith(PREFIX) or name in variables:
            raise BundleError(
                f"{path}, line {number}: {line!r} is not a setting. Write {PREFIX}<NAME>=<value>, without "
                f"spaces around the =, each name once; {PREFIX}ENV is set already."
            )
        variables[name] = value
    # A local endpoint lets buckets be unset.
    if problem := settings_problem(variables | {"AWS_ENDPOINT_URL": "http://127.0.0.1"}):
        raise BundleError(f"{path}: {problem}")
    return variables


def settings_problem(variables: Mapping[str, str]) -> str:
    """What the library says of the settings; empty if nothing."""
    # The folder of the SQL is one of MWAA's and cannot be looked at here.
    try:
        read_settings({name: value for name, value in variables.items() if name != f"{PREFIX}SQL_FOLDER"})
    except SettingsError as error:
        return str(error)
    return ""


def _tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder that belong to the package, by their paths in it."""
    if not folder.is_dir():
        raise BundleError(f"There is no folder {folder}.")
    return {path.relative_to(folder).as_posix(): _read(path) for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if not is_shipped(path.name):
            continue
        if path.is_symlink():
            raise BundleError(f"{path} is a symbolic link, which could ship a file from elsewhere. Copy the file.")
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.") from error


def _compile(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raise BundleError for a file that no Python could import: on MWAA it would be missing quietly."""
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                compile(content, str(folder / path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                raise BundleError(f"{folder / path}{line} is not Python: {error}.") from error


def _zip(files: Mapping[str, bytes]) -> bytes:
    """An archive that tells nothing of when and where it was made.

    It is not compressed: compressors differ between versions of their library.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EARLIEST)
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE << 16
            writer.writestr(entry, files[path])
    return archive.getvalue()


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    if folder.exists() and not (folder / CHECKSUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} holds something else than a bundle: remove it, or name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for path in folder.rglob("*") if not path.is_dir()]:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for relative, content in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
        path.chmod(stat.S_IMODE(_FILE_MODE))
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
