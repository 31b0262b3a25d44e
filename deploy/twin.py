"""A twin of MWAA's image on this machine, without Docker: its packages, its folders, its way with a bundle.

A twin is a virtual environment beside a folder that stands for the image's root. Both are kept in a folder
that is named by what they were made of: a second check of the same image and requirements starts at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from airflow_local.runtime import Progress, tail
from deploy import image as mwaa
from deploy.errors import CheckError

NONE = "none"
"""In place of a list: pip may take the newest of everything, or choose the image's packages itself."""
NEWEST = "newest"
"""In place of a version: that of the newest Airflow that pip finds."""

_KEPT = Path(__file__).resolve().parents[1] / "dev" / "pins" / "mwaa"
_PUBLISHED = "https://raw.githubusercontent.com/apache/airflow/constraints-{version}/constraints-3.12.txt"
_DOWNLOAD_SECONDS = 30
_IMAGE_SECONDS = 30 * 60
_IMPORT_SECONDS = 120
_INSIDE = Path(__file__).with_name("inside")
_OF_THE_SHELL = frozenset({"_", "OLDPWD", "PWD", "SHLVL"})
_USABLE = "import sys, venv, ensurepip; assert sys.version_info[:2] == {}; print(sys.version.split()[0])"


@dataclass(frozen=True)
class Image:
    """Which image of MWAA is meant.

    Attributes:
        version: Airflow's.
        constraints: Path or URL of the constraints that the image was built with and forces; empty for
            those of `dev/pins/mwaa`, or else those that Airflow publishes; `none` for none at all.
        installed: Path or URL of the list of the image's packages; empty for that of `dev/pins/mwaa`, unless
            there are other constraints; `none`, or without such a list, to let pip choose by the constraints.
    """

    version: str
    constraints: str = ""
    installed: str = ""

    @property
    def constraints_source(self) -> str:
        """Where the constraints are."""
        return self.constraints or self._kept("constraints") or _PUBLISHED.format(version=self.version)

    @property
    def installed_source(self) -> str:
        """Where the list of its packages is; empty if there is none."""
        given = self.installed or ("" if self.constraints else self._kept("installed"))
        return "" if given == NONE else given

    @property
    def requested(self) -> tuple[str, ...]:
        """What pip is asked for where there is no list of the packages."""
        return (f"apache-airflow[{','.join(mwaa.EXTRAS)}]=={self.version}", *mwaa.FURTHER)

    def _kept(self, kind: str) -> str:
        path = _KEPT / f"{self.version}-{kind}.txt"
        return str(path) if path.is_file() else ""


def newest_airflow() -> str:
    """The version of the newest Airflow that pip finds.

    Raises:
        CheckError: It finds none.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", "apache-airflow"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS)
    if found := re.match(r"apache-airflow \(([\d.]+)\)", done.stdout):
        return found[1]
    raise CheckError(f"pip finds no Airflow. Name a version instead of {NEWEST!r}.\n{done.stderr}")


@dataclass(frozen=True)
class Twin:
    """A twin with a bundle in it.

    Attributes:
        folder: Holds all of it.
        added: Packages that requirements.txt has brought, with their versions.
        changed: Packages of the image that requirements.txt has changed: both versions.
    """

    folder: Path
    added: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def home(self) -> Path:
        """Its AIRFLOW_HOME."""
        return self.folder / "root" / mwaa.HOME.relative_to("/")

    @property
    def notes(self) -> Path:
        """Where the probe notes which plugins each component has loaded."""
        return self.home / "plugins.jsonl"

    def add_probe(self) -> None:
        """Put the probe beside the bundle's plugins; its notes begin empty."""
        shutil.copy(_INSIDE / "probe_plugin.py", self.home / "plugins")
        self.notes.write_text("")

    def import_plugins(self) -> None:
        """Import the plugins as if requirements.txt had not been installed.

        Raises:
            CheckError: One cannot be imported so.
        """
        # In a home of its own: Airflow writes its configuration into that at its first import.
        environment = _clean_environment() | {"AIRFLOW_HOME": str(self.folder / "import")}
        script = str(_INSIDE / "import_plugins.py")
        done = _run(
            [str(self.python), "-P", script, str(self.home / "plugins"), *self.added],
            environment,
            self.folder / "import.log",
            _IMPORT_SECONDS,
        )
        if done != 0:
            raise CheckError(
                "A plugin cannot be imported without what requirements.txt installs: "
                f"{', '.join(self.added) or 'nothing'}. On MWAA that breaks components: import such a "
                f"package where it is used, in a function.\n{tail(self.folder / 'import.log')}"
            )

    def startup_variables(self, progress: Progress) -> dict[str, str]:
        """Run startup.sh and return what it exports, but for the variables that MWAA protects.

        Raises:
            CheckError: It fails, or takes longer than MWAA gives it.
        """
        given = _clean_environment() | {"AIRFLOW_HOME": str(self.home), **mwaa.DEFAULTS}
        # The exit trap also answers for a script that calls exit.
        script = "exec 3>&1 1>&2; trap 'env -0 >&3' EXIT; source \"$0\""
        try:
            done = subprocess.run(
                ["bash", "-c", script, str(self.home / "startup" / "startup.sh")],
                env=given,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=mwaa.STARTUP_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CheckError(f"startup.sh took longer than {mwaa.STARTUP_SECONDS} s.") from None
        if done.returncode != 0:
            raise CheckError(f"startup.sh ended with exit code {done.returncode}:\n{done.stderr}")
        after = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
        exported = {name: value for name, value in after.items() if given.get(name) != value}
        kept = {name for name in exported if not mwaa.is_protected(name) and name not in _OF_THE_SHELL}
        if ignored := sorted(exported.keys() - kept - _OF_THE_SHELL):
            progress(f"startup.sh: MWAA keeps its own value of {', '.join(ignored)}")
        return {name: exported[name] for name in sorted(kept)}


def build_twin(image: Image, bundle: Path, work: Path, python: str, progress: Progress) -> Twin:
    """Make the twin of an image, or take the one that is there, and put a bundle into it.

    Args:
        image: Which image.
        bundle: Folder of the bundle.
        work: Folder in which twins are kept.
        python: Looked at first for a Python 3.12; may be empty.
        progress: Told what happens.

    Raises:
        CheckError: No Python is found, a list cannot be read, or pip fails.
    """
    requirements = (bundle / "requirements.txt").read_text()
    forced = not mwaa.names_constraints(requirements)
    _refuse_hidden_constraints(requirements, forced)
    interpreter, version = _find_python(python)
    installed = _text(image.installed_source) if image.installed_source else ""
    constraints = _constraints(image, needed=forced or not installed)
    # requirements.txt names the bundle's own constraints by their content.
    lists = (installed or "\n".join(image.requested), constraints, requirements)
    inputs = [version, image.version, *map(_without_comments, lists)]
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:12]
    folder = work.absolute() / f"{image.version}-{key}"
    twin = Twin(folder)
    _lay_out(bundle, twin.home)
    record = twin.folder / "packages.json"
    if record.exists():
        progress(f"the twin is there: {folder}")
        return Twin(folder, **json.loads(record.read_text()))
    progress(f"making a twin of the image for Airflow {image.version}; it takes minutes")
    _make_environment(interpreter, twin)
    _install_image(image, installed, constraints, twin)
    before = _versions(twin)
    progress(f"the image has {len(before)} packages; installing requirements.txt")
    _install_requirements(requirements, constraints if forced else "", before, twin)
    after = _versions(twin)
    added = {name: after[name] for name in sorted(after.keys() - before.keys())}
    changed = {name: [old, after[name]] for name, old in sorted(before.items()) if after.get(name, old) != old}
    record.write_text(json.dumps({"added": added, "changed": changed}, indent=1))
    return Twin(folder, added, changed)


def _refuse_hidden_constraints(requirements: str, forced: bool) -> None:
    """Raise CheckError if the image would force no constraints and pip would see none either."""
    if not forced and not mwaa.constraints_that_pip_reads(requirements):
        raise CheckError(
            "requirements.txt names a constraints file in a comment only. The image takes that for one and "
            "forces none of its own, so pip would choose any versions: name a file, or reword the comment "
            "without '-c ' and '--constraint '."
        )


def _find_python(named: str) -> tuple[str, str]:
    """An interpreter and its version: the named one, or if that is no such Python the first that is.

    A name can exist and still fail, such as a shim: each is tried.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    usable = _USABLE.format(mwaa.PYTHON)
    candidates = [named, sys.executable, "python3.12", *map(str, sorted(pyenv.glob("3.12*/bin/python")))]
    for candidate in filter(None, candidates):
        try:
            done = subprocess.run([candidate, "-c", usable], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return candidate, done.stdout.strip()
    raise CheckError(
        f"MWAA runs Python 3.12, and there is no usable one with venv here: tried "
        f"{', '.join(filter(None, candidates))}. Install it, or name it: PYTHON=/path/to/python3.12"
    )


def _constraints(image: Image, *, needed: bool) -> str:
    is_published = "://" in image.constraints_source and not image.constraints
    if image.constraints == NONE or (is_published and not needed):
        return ""
    return _text(image.constraints_source)


def _text(source: str) -> str:
    """Read a list of packages from a path or a URL."""
    try:
        if "://" in source:
            with urlopen(source, timeout=_DOWNLOAD_SECONDS) as response:
                return str(response.read().decode())
        return Path(source).read_text()
    except (URLError, OSError, UnicodeDecodeError) as error:
        raise CheckError(
            f"{source} cannot be read: {error}. Give the image's constraints as a path or a URL "
            "(CONSTRAINTS=), and the list of its packages if you have it (INSTALLED=)."
        ) from error


def _without_comments(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def _lay_out(bundle: Path, home: Path) -> None:
    """Put the parts of a bundle where MWAA puts them, in place of what is there."""
    for name in ("dags", "plugins", "requirements", "startup"):
        shutil.rmtree(home / name, ignore_errors=True)
    shutil.copytree(bundle / "dags", home / "dags")
    with zipfile.ZipFile(bundle / "plugins.zip") as plugins:
        plugins.extractall(home / "plugins")
    for folder, name in (("requirements", "requirements.txt"), ("startup", "startup.sh")):
        (home / folder).mkdir()
        shutil.copy(bundle / name, home / folder)


def _make_environment(interpreter: str, twin: Twin) -> None:
    venv = twin.folder / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    log = twin.folder / "venv.log"
    if _run([interpreter, "-m", "venv", str(venv)], _clean_environment(), log, _IMPORT_SECONDS) != 0:
        raise CheckError(f"{interpreter} cannot make a virtual environment:\n{tail(log)}")


def _install_image(image: Image, installed: str, constraints: str, twin: Twin) -> None:
    """Install what the image has: exactly its list, or what pip chooses by its constraints.

    An image's bill of materials leaves out a few packages that others need; pip adds these.
    """
    if installed:
        listed = _pinned(installed)
        arguments = ["-r", _file(twin, "installed.txt", installed)]
        # The list wins: an image may have another version than its constraints say.
        constraints = "".join(
            f"{name}=={version}\n" for name, version in _pinned(constraints).items() if name not in listed
        )
    else:
        arguments = list(image.requested)
    arguments += ["-c", _file(twin, "image-constraints.txt", constraints)]
    log = twin.folder / "pip-image.log"
    if _pip(twin, log.name, arguments, _IMAGE_SECONDS) != 0:
        raise CheckError(
            "pip cannot install the image's packages. psycopg2 and pycurl need a compiler and the headers of "
            f"libpq and libcurl. Log: {log}\n{tail(log)}"
        )


def _pinned(packages: str) -> dict[str, str]:
    """The versions in a list of `name==version`, by normalised names."""
    pairs = (line.split("#")[0].strip().partition("==") for line in packages.splitlines())
    return {mwaa.normalised(name): version for name, _, version in pairs if version}


def _install_requirements(requirements: str, constraints: str, before: Mapping[str, str], twin: Twin) -> None:
    """Install requirements.txt as the image does; only that a failure is one.

    The image's paths in it are those of the twin's root, where the same files lie.
    """
    essential = "".join(f"{name}=={version}\n" for name, version in before.items() if name in mwaa.ESSENTIAL)
    local = requirements.replace(f"{mwaa.HOME}/", f"{twin.home}/")
    arguments = ["-c", _file(twin, "essential.txt", essential)]
    arguments += ["-r", _file(twin, "requirements.txt", local)]
    if constraints:
        arguments += ["-c", _file(twin, "constraints.txt", constraints)]
    log = twin.folder / "pip-requirements.log"
    done = _pip(twin, log.name, arguments, mwaa.PIP_SECONDS)
    if done != 0:
        reason = f"failed with exit code {done}" if done else f"took longer than {mwaa.PIP_SECONDS} s"
        raise CheckError(
            f"pip {reason} for requirements.txt. MWAA only logs that and runs on without the packages. "
            f"Log: {log}\n{tail(log)}"
        )


def _pip(twin: Twin, log_name: str, arguments: Sequence[str], seconds: float) -> int | None:
    pip = [str(twin.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    return _run([*pip, *arguments], _clean_environment(), twin.folder / log_name, seconds)


def _versions(twin: Twin) -> dict[str, str]:
    (packages,) = (twin.folder / "venv" / "lib").glob("python3.*/site-packages")
    return {mwaa.normalised(each.metadata["Name"]): each.version for each in distributions(path=[str(packages)])}


def _run(command: Sequence[str], environment: Mapping[str, str], log_path: Path, seconds: float) -> int | None:
    """Run a command with its output in a file; returns the exit code, None if it took too long."""
    with log_path.open("w") as log:
        try:
            return subprocess.run(
                command,
                env=environment,
                cwd=log_path.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            ).returncode
        except subprocess.TimeoutExpired:
            return None


def _clean_environment() -> dict[str, str]:
    """This process's variables without those that could lead Airflow, AWS clients or Python astray.

    Nor with those by which a job of GitHub asks for an identity: what is installed could take it.
    """
    strange = ("ACTIONS_", "GITHUB_TOKEN", "AIRFLOW", "AWS_", "ATHENA_REPORTS_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


def _file(twin: Twin, name: str, text: str) -> str:
    path = twin.folder / name
    path.write_text(text)
    return str(path)
