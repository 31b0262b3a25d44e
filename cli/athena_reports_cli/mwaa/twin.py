"""A twin of MWAA's image for Airflow 3, without Docker.

It has the image's packages and folders, and does with a bundle what the image does: a virtual
environment beside a folder that stands for the image's root. It is kept by the name of what it is
made of. Facts are from github.com/aws/amazon-mwaa-docker-images and MWAA's user guide.
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
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from packaging.utils import canonicalize_name
from uv import find_uv_bin

from athena_reports_cli.local.runtime import Progress, tail
from athena_reports_cli.local.services import environment_without
from athena_reports_cli.mwaa import HOME, DeployError
from athena_reports_cli.mwaa.requirements import LIBRARY
from athena_reports_cli.mwaa.wheels import FOLDER, PYTHON

PIP_SECONDS = 9 * 60
"""How long requirements.txt may take; after that MWAA goes on without what is missing."""
STARTUP_SECONDS = 5 * 60
_IMAGE_SECONDS = 30 * 60
"""How long the packages of the image may take: two of them are compiled."""
PACKAGES = (
    "apache-airflow[amazon,celery,fab,http,postgres,smtp,standard]=={version}"
    " aiobotocore gunicorn statsd"
)
"""What every image has, where the list of its packages is not kept in images/."""
ESSENTIAL = (
    "apache-airflow billiard celery fluent-logger gevent greenlet gunicorn kombu flask"
    " flask-appbuilder flask-babel flask-bcrypt flask-caching flask-jwt-extended flask-limiter"
    " flask-login flask-sqlalchemy flask-session flask-wtf sqlalchemy sqlalchemy-jsonfield"
    " sqlalchemy-utils statsd vine watchtower"
)
"""Packages whose versions requirements.txt cannot change, by their normalised names."""
DEFAULTS: Mapping[str, str] = {
    "AIRFLOW__API__SERVER_TYPE": "gunicorn",
    "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
    "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "proxy,proxies",
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
"""Airflow's settings that MWAA makes unless startup.sh does.

Those that mean nothing outside of AWS are left out.
"""
FORCED: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__MULTI_TEAM": "False",
    "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
    "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
}
"""Airflow's settings that MWAA makes whatever startup.sh says."""
_PROTECTED = re.compile(
    r"MWAA__.*|AIRFLOW_(ENV_ID|ENV_NAME|HOME|TASK_REVISION_ID|VERSION)"
    r"|AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|ECS_.*|AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    r"|CUSTOMER_ACCOUNT_ID|JWT_PUBLIC_KEY|PYTHONPATH|PYTHONUNBUFFERED|USE_NON_CRITICAL_LOGGING"
    r"|WATCHTOWER_VERSION"
    r"|AIRFLOW__(API|WEBSERVER)__BASE_URL|AIRFLOW__AWS_MWAA__REDIRECT_URL|AIRFLOW__API__SECRET_KEY"
    r"|AIRFLOW__API_AUTH__JWT_(ALGORITHM|SECRET)"
    r"|AIRFLOW__CELERY__(BROKER_URL|CELERY_CONFIG_OPTIONS|EXTRA_CELERY_CONFIG|RESULT_BACKEND"
    r"|WORKER_ENABLE_REMOTE_CONTROL)"
    r"|AIRFLOW__CORE__(AUTH_MANAGER|DATABASE_ACCESS_ISOLATION|EXECUTION_API_SERVER_URL|EXECUTOR"
    r"|FERNET_KEY)"
    r"|AIRFLOW__DATABASE__SQL_ALCHEMY_CONN|AIRFLOW__FAB__CONFIG_FILE|AIRFLOW__METRICS__.*"
    r"|AIRFLOW__LOGGING__(COLORED_CONSOLE_LOG|LOGGING_CONFIG_CLASS)"
    r"|AIRFLOW__OPERATORS__DEFAULT_QUEUE"
)

_VARIABLES_OF_BASH = {"_", "OLDPWD", "PWD", "SHLVL"}

_KEPT = Path(__file__).with_name("images")
_PUBLISHED = "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-3.12.txt"
_NOBODY = "http://127.0.0.1:9"  # the port of the discard service, where nobody listens
_CUT_OFF = (
    *("--isolated", "--no-cache-dir", "--retries", "0"),
    *("--index-url", _NOBODY, "--proxy", _NOBODY),
)
"""With these, pip reaches no package index, not even one that requirements.txt names."""
_IMPORT_PLUGINS = Path(__file__).with_name("import_plugins.py")
_REPORT_PERIODS = Path(__file__).with_name("report_periods.py")
_USABLE = f"import sys, venv, ensurepip; assert sys.version_info[:2] == {PYTHON}"


class ReportPeriod(NamedTuple):
    """A period of a report, in one cadence."""

    report: str
    cadence: str
    period: str


class Twin:
    """A twin with a bundle in it.

    Attributes:
        folder: Where all of it is.
        python: Its Python.
        home: What stands for AIRFLOW_HOME on MWAA.
        added: The packages that its requirements.txt has brought, with their versions.
        needs_index: Whether pip had to ask a package index for any of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.home = folder / "root" / HOME.relative_to("/")
        self.added: dict[str, str] = {}
        self.needs_index = False

    def lay_out(self, bundle: Path) -> None:
        """Put the parts of a bundle where MWAA puts them, in place of what is there."""
        for name in ("dags", "plugins", "startup"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        shutil.copytree(bundle / "dags", self.home / "dags")
        with zipfile.ZipFile(bundle / "plugins.zip") as plugins:
            plugins.extractall(self.home / "plugins")
        (self.home / "startup").mkdir()
        shutil.copy(bundle / "startup.sh", self.home / "startup")

    def install(self, image: str, constraints: str, requirements: str) -> None:
        """Install the image's packages, then requirements.txt by the image's rules.

        The wheels of the plugins folder come first, with the network cut: an environment without a
        route to a package index has nothing else. Then requirements.txt as a whole, without the
        network if that is enough. Only here a failure is an error; MWAA goes on without the
        packages.

        Args:
            image: The image's packages, as lines of a requirements.txt.
            constraints: What the image was built with, as lines of a constraints file.
            requirements: The bundle's requirements.txt.

        Raises:
            DeployError: uv or pip failed, or pip has installed the library too.
        """
        self._install_image(image, constraints)
        before = self._versions()
        self._install_requirements(requirements, before)
        self.added = {}
        for name, version in self._versions().items():
            if before.get(name) != version:
                self.added[name] = version
        if LIBRARY in self.added:
            raise DeployError(
                f"requirements.txt installs {LIBRARY} {self.added[LIBRARY]}, and plugins.zip has"
                " the library too. Airflow would use the installed one, and show an import error of"
                " its plugin. Remove the line that installs it, perhaps in a file that"
                " requirements.txt names."
            )

    def _install_image(self, image: str, constraints: str) -> None:
        """Install with uv, which is faster: MWAA runs pip only for requirements.txt."""
        pinned = {_name(line) for line in image.splitlines() if "==" in line}
        # The list wins: an image may have another version than its constraints say.
        others = [line for line in constraints.splitlines() if _name(line) not in pinned]
        packages = self._file("image.txt", image)
        limits = self._file("constraints.txt", "\n".join(others))
        # The twin lies in the project, whose [tool.uv] may ask for other versions.
        install = [find_uv_bin(), "pip", "install", "--no-config", "--python", str(self.python)]
        arguments = ["--compile-bytecode", "-r", packages, "-c", limits]
        log = self.folder / "image.log"
        code = self._run([*install, *arguments], log, _IMAGE_SECONDS)
        advice = (
            "psycopg2 and pycurl need a compiler and the headers of libpq and libcurl."
            " To use another package index than PyPI, set UV_DEFAULT_INDEX."
        )
        _require_success("uv", code, _IMAGE_SECONDS, advice, log)

    def _install_requirements(self, requirements: str, of_image: Mapping[str, str]) -> None:
        """Install requirements.txt beside the packages of the image, whose versions are given."""
        essential_names = ESSENTIAL.split()
        essential = ""
        for name, version in of_image.items():
            if name in essential_names:
                essential += f"{name}=={version}\n"
        local = requirements.replace(f"{HOME}/", f"{self.home}/")
        packages = self._file("requirements.txt", local)
        limits = self._file("essential.txt", essential)

        wheels = f"{self.home / 'plugins' / FOLDER}/"
        carried = [line for line in local.splitlines() if line.startswith(wheels)]
        if carried:
            advice = "The bundle carries a wheel that the image cannot install without a network."
            self._pip("pip-wheels.log", advice, [*_CUT_OFF, "-c", limits, *carried])
        arguments = ["-c", limits, "-r", packages]
        code = self._run_pip("pip-cut-off.log", [*_CUT_OFF, *arguments])
        self.needs_index = code != 0
        if self.needs_index:
            advice = "MWAA only logs that, and runs on without the packages."
            self._pip("pip.log", advice, arguments)

    def import_plugins(self) -> None:
        """Import the plugins as if requirements.txt had not been installed, as MWAA may do.

        Raises:
            DeployError: A plugin needs one of those packages when it is imported.
        """
        log = self.folder / "import.log"
        script = [str(_IMPORT_PLUGINS), str(self.home / "plugins"), *self.added]
        # In a home of its own: Airflow writes its configuration into that at its first import.
        environment = {"AIRFLOW_HOME": str(self.folder / "import")}
        code = self._run_python(["-P", *script], log, 120, environment)
        if code != 0:
            raise DeployError(
                "A plugin cannot be imported without what requirements.txt installs"
                f" ({', '.join(self.added)}). On MWAA that breaks components: import such a package"
                f" in a function that uses it.\n{tail(log)}"
            )

    def startup_variables(self, progress: Progress) -> dict[str, str]:
        """Run startup.sh and return what it exports, but for the variables that MWAA protects.

        Args:
            progress: Told which variables those are.

        Raises:
            DeployError: startup.sh failed, or took too long.
        """
        before = {**_clean_environment(), "AIRFLOW_HOME": str(self.home), **DEFAULTS}
        # The exit trap also answers for a script that calls exit.
        script = "exec 3>&1 1>&2; trap 'env -0 >&3' EXIT; source \"$0\""
        command = ["bash", "-c", script, str(self.home / "startup" / "startup.sh")]
        try:
            done = subprocess.run(
                command, env=before, capture_output=True, text=True, timeout=STARTUP_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise DeployError(f"startup.sh took longer than {STARTUP_SECONDS} s.") from None
        if done.returncode != 0:
            raise DeployError(f"startup.sh ended with exit code {done.returncode}:\n{done.stderr}")
        exported = {}
        ignored = []
        for entry in sorted(done.stdout.split("\0")):
            name, _, value = entry.partition("=")
            is_of_bash = name in _VARIABLES_OF_BASH
            if not name or is_of_bash or before.get(name) == value:
                continue
            if _is_protected(name):
                ignored.append(name)
            else:
                exported[name] = value
        if ignored:
            progress(f"startup.sh: MWAA keeps its own value of {', '.join(ignored)}")
        return exported

    def report_periods(self, variables: Mapping[str, str]) -> dict[str, ReportPeriod]:
        """Return a period of each report's DAG for which the local tables have the data, by DAG id.

        Args:
            variables: What the DAG files are imported with, and how AWS is reached.

        Raises:
            DeployError: A DAG file cannot be imported.
        """
        log = self.folder / "periods.log"
        dags = str(self.home / "dags")
        # In a home of its own, as for the plugins.
        environment = dict(variables)
        environment["AIRFLOW_HOME"] = str(self.folder / "import")
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = dags
        environment["PYTHONPATH"] = str(self.home / "plugins")
        code = self._run_python(["-P", str(_REPORT_PERIODS), dags], log, 300, environment)
        if code != 0:
            raise DeployError(f"The reports of the bundle cannot be imported.\n{tail(log)}")
        last_line = log.read_text().splitlines()[-1]  # Airflow may have logged before it
        periods = {}
        for dag_id, fields in json.loads(last_line).items():
            periods[dag_id] = ReportPeriod(**fields)
        return periods

    def _pip(self, log_name: str, advice: str, arguments: list[str]) -> None:
        code = self._run_pip(log_name, arguments)
        _require_success("pip", code, PIP_SECONDS, advice, self.folder / log_name)

    def _run_pip(self, log_name: str, arguments: list[str]) -> int | None:
        """Let pip install; returns its exit code, or None if it took too long."""
        install = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        return self._run_python([*install, *arguments], self.folder / log_name, PIP_SECONDS)

    def _run_python(
        self, arguments: list[str], log: Path, seconds: float, more: Mapping[str, str] | None = None
    ) -> int | None:
        return self._run([str(self.python), *arguments], log, seconds, more)

    def _run(
        self, command: list[str], log: Path, seconds: float, more: Mapping[str, str] | None = None
    ) -> int | None:
        """Run a command with its output in a file, and `more` variables.

        Returns the exit code; None if it took too long.
        """
        environment = _clean_environment()
        environment.update(more or {})
        with log.open("w") as output, suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command,
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            )
            return done.returncode
        return None

    def _versions(self) -> dict[str, str]:
        """Return the versions of the installed packages by their normalised names."""
        (packages,) = (self.folder / "venv" / "lib").glob("python3.*/site-packages")
        versions = {}
        for package in distributions(path=[str(packages)]):
            versions[_name(package.metadata["Name"])] = package.version
        return versions

    def _file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


def build_twin(
    version: str, constraints: str, bundle: Path, work: Path, python: str, progress: Progress
) -> Twin:
    """Make the twin of an image, or take the one that is there, and put a bundle into it.

    Args:
        version: The image's version of Airflow.
        constraints: Those that the image was built with: path or URL, or `none`. If it is empty,
            they are those of images/, with the list of the image's packages. An image that is not
            there has those that Airflow publishes.
        bundle: The folder of the bundle.
        work: A folder for all twins.
        python: A Python 3.12; empty for the first one that is found.
        progress: Told what happens.

    Raises:
        DeployError: There is no usable Python, the constraints cannot be read, or uv or pip failed.
    """
    requirements = (bundle / "requirements.txt").read_text()
    image, constraints = _packages_of_image(version, constraints)
    made_of = "\0".join([image, constraints, requirements])
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    twin = Twin(work.absolute() / f"{version}-{digest[:12]}")
    twin.lay_out(bundle)
    record = twin.folder / "installed.json"
    if record.exists():
        progress(f"the twin is there: {twin.folder}")
        installed = json.loads(record.read_text())
        twin.added = installed["added"]
        twin.needs_index = installed["needs_index"]
        return twin
    progress(f"making a twin of the image for Airflow {version}; it takes minutes")
    make_environment(python, twin)
    twin.install(image, constraints, requirements)
    record.write_text(json.dumps({"added": twin.added, "needs_index": twin.needs_index}))
    return twin


def _packages_of_image(version: str, constraints: str) -> tuple[str, str]:
    """Return the packages of an image, and the constraints that it was built with, as texts."""
    installed = _KEPT / f"{version}-installed.txt"
    if not constraints and installed.is_file():
        return installed.read_text(), (_KEPT / f"{version}-constraints.txt").read_text()
    image = PACKAGES.format(version=version).replace(" ", "\n")
    if constraints == "none":
        return image, ""
    if not constraints:
        constraints = _PUBLISHED.format(version)
    return image, _text(constraints)


def make_environment(python: str, twin: Twin) -> None:
    """Make the twin's virtual environment, by the first usable Python.

    A name can exist and still fail, as a shim of pyenv does.

    Args:
        python: What is tried first; empty for nothing.
        twin: Whose environment it is.

    Raises:
        DeployError: None is usable.
    """
    candidates = [sys.executable, "python3.12"]
    if python:
        candidates.insert(0, python)
    pyenv = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    versions = Path(pyenv) / "versions"
    candidates += [str(path) for path in sorted(versions.glob("3.12*/bin/python"))]
    venv = str(twin.folder / "venv")
    for candidate in candidates:
        try:
            subprocess.run([candidate, "-c", _USABLE], capture_output=True, check=True)
            subprocess.run([candidate, "-m", "venv", "--clear", venv], check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return
    raise DeployError(
        "MWAA runs Python 3.12, and there is no usable one with venv:"
        f" tried {', '.join(candidates)}."
        " Install it, or name it: `athena-reports mwaa-check --python /path/to/python3.12`."
    )


def _is_protected(variable: str) -> bool:
    """Whether MWAA keeps its own value of a variable, whatever startup.sh exports."""
    return variable in FORCED or _PROTECTED.fullmatch(variable) is not None


def _text(source: str) -> str:
    """Return the text at a path or a URL."""
    url = source
    if "://" not in source:
        url = Path(source).absolute().as_uri()
    try:
        with urlopen(url, timeout=30) as response:
            return str(response.read().decode())
    except OSError as error:
        raise DeployError(
            f"{source} cannot be read: {error}. Name the image's constraints: `athena-reports"
            " mwaa-check --constraints <path or URL>`."
        ) from error


def _name(requirement: str) -> str:
    """Return the name of a package as indexes compare it, of a line such as `Flask==3.0`."""
    return canonicalize_name(requirement.split("==")[0].strip())


def deployed_variables(exported: Mapping[str, str]) -> dict[str, str]:
    """Return Airflow's variables on MWAA: its defaults, what startup.sh exports, what it forces."""
    return {**DEFAULTS, **exported, **FORCED}


def _require_success(
    program: str, code: int | None, seconds: float, advice: str, log: Path
) -> None:
    """Raise a DeployError with the end of a program's log, if it failed or took too long."""
    if code == 0:
        return
    reason = f"took longer than {seconds} s"
    if code is not None:
        reason = f"failed with exit code {code}"
    raise DeployError(f"{program} {reason}. {advice} Log: {log}\n{tail(log)}")


def _clean_environment() -> dict[str, str]:
    """Return this process's variables, without those of Airflow, AWS, the library and Python."""
    return environment_without("AIRFLOW", "AWS_", "ATHENA_REPORTS_", "PYTHON", "VIRTUAL_ENV")
