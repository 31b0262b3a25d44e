"""A twin of MWAA's image for Airflow 3, without Docker.

It has the image's packages and folders, and treats a bundle as the image does: a virtual
environment beside a folder that stands for the image's root. Facts are from
github.com/aws/amazon-mwaa-docker-images and MWAA's user guide.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from pydantic import BaseModel
from uv import find_uv_bin

from athena_reports_cli.local.runtime import Progress, tail
from athena_reports_cli.local.services import environment_without
from athena_reports_cli.mwaa import FOLDER, HOME, BundleError

PACKAGES = (
    "apache-airflow[amazon,celery,fab,http,postgres,smtp,standard]=={version}",
    *("aiobotocore", "gunicorn", "statsd"),
)
"""What every image has, where the list of its packages is not kept in images/."""
ESSENTIAL = (
    "apache-airflow billiard celery fluent-logger gevent greenlet gunicorn kombu flask"
    " flask-appbuilder flask-babel flask-bcrypt flask-caching flask-jwt-extended flask-limiter"
    " flask-login flask-sqlalchemy flask-session flask-wtf sqlalchemy sqlalchemy-jsonfield"
    " sqlalchemy-utils statsd vine watchtower"
)
"""Packages whose versions requirements.txt cannot change, by their normalised names."""
DEFAULTS = {
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
FORCED = {
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
_CUT_OFF = ("--isolated", "--no-index", "--retries=0", "--proxy=http://127.0.0.1:9")
"""With these, pip reaches no index and no URL: port 9 is that of the discard service."""
_OF_BASH = {"_", "OLDPWD", "PWD", "SHLVL"}

_PUBLISHED = "https://raw.githubusercontent.com/apache/airflow/constraints-{}/constraints-3.12.txt"
_Command = Sequence[str | Path]


class Installed(BaseModel, frozen=True):
    """What requirements.txt has installed.

    Attributes:
        added: The versions of the packages that the image has not, or has in another version.
        needs_index: Whether pip had to ask a package index for any of them.
    """

    added: dict[str, str]
    needs_index: bool


class Twin:
    """A twin with a bundle in it.

    `home` stands for AIRFLOW_HOME on MWAA. The file `record` exists once all is installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.home = folder / "root" / HOME.relative_to("/")
        self.dags = self.home / "dags"
        self.plugins = self.home / "plugins"
        self.record = folder / "installed.json"

    @property
    def installed(self) -> Installed:
        """What requirements.txt has installed."""
        return Installed.model_validate_json(self.record.read_bytes())

    def lay_out(self, bundle: Path) -> None:
        """Put the parts of a bundle where MWAA puts them, in place of what is there."""
        for name in ("dags", "plugins", "startup"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        shutil.copytree(bundle / "dags", self.dags)
        with zipfile.ZipFile(bundle / "plugins.zip") as plugins:
            plugins.extractall(self.plugins)
        (self.home / "startup").mkdir()
        shutil.copy(bundle / "startup.sh", self.home / "startup")

    def install(self, version: str, requirements: str) -> None:
        """Install the packages of an image with uv, then requirements.txt with pip, as MWAA does.

        pip gets no package index first: an environment without a route to one has nothing else.
        BundleError if uv or pip fails, where MWAA would only log it and run without the packages.
        """
        self._make_environment()
        # The twin lies in the project, whose [tool.uv] may ask for other versions.
        uv = [find_uv_bin(), "pip", "install", "--no-config", f"--python={self.python}"]
        self._run([*uv, "--compile-bytecode", *_image(version)])
        of_image = self._versions()
        needs_index = self._install_requirements(requirements, of_image)
        added = dict(self._versions().items() - of_image.items())
        installed = Installed(added=added, needs_index=needs_index)
        self.record.write_text(installed.model_dump_json())

    def _install_requirements(self, requirements: str, of_image: Mapping[str, str]) -> bool:
        """Install requirements.txt beside the image; return whether that needs an index."""
        pins = [f"{name}=={of_image[name]}\n" for name in ESSENTIAL.split() if name in of_image]
        essential = self.folder / "essential.txt"
        essential.write_text("".join(pins))
        packages = self.folder / "requirements.txt"
        packages.write_text(requirements.replace(f"{HOME}/", f"{self.home}/"))
        pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
        pip += ["--no-input", f"--constraint={essential}", f"--requirement={packages}"]
        try:
            self._run([*pip, *_CUT_OFF])
        except BundleError:
            self._run(pip)
            return True
        return False

    def import_plugins(self) -> None:
        """Import the plugins as if requirements.txt had not been installed, as MWAA may do."""
        self._run_script("import_plugins.py", [self.plugins, *self.installed.added])

    def startup_variables(self) -> tuple[dict[str, str], list[str]]:
        """Run startup.sh; return what it exports, and the names of variables that MWAA protects."""
        before = {**_clean_environment(), **DEFAULTS, "AIRFLOW_HOME": str(self.home)}
        # The exit trap also runs for a script that calls exit.
        script = "exec 3>&1 1>&2; trap 'env -0 >&3' EXIT; source \"$0\""
        startup = self.home / "startup" / "startup.sh"
        done = subprocess.run(
            ["bash", "-c", script, startup], env=before, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise BundleError(f"startup.sh failed with exit code {done.returncode}:\n{done.stderr}")
        exported = {}
        protected = []
        for entry in sorted(done.stdout.split("\0")):
            name, _, value = entry.partition("=")
            if not name or name in _OF_BASH or before.get(name) == value:
                continue
            if name in FORCED or _PROTECTED.fullmatch(name):
                protected.append(name)
            else:
                exported[name] = value
        return exported, protected

    def report_periods(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return a period of each report's DAG for which the local tables have the data, by DAG id.

        The DAG files are imported with the variables, by which AWS is reached too.
        """
        environment = {
            **variables,
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "PYTHONPATH": str(self.plugins),
        }
        log = self._run_script("report_periods.py", [self.dags], environment)
        last_line = log.read_text().splitlines()[-1]  # Airflow may have logged before it
        periods: dict[str, str] = json.loads(last_line)
        return periods

    def _make_environment(self) -> None:
        """Make the virtual environment, by the first Python 3.12 that uv finds or downloads.

        uv does not look for versions of pyenv.
        """
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        folders = [str(folder) for folder in pyenv.glob("versions/3.12*/bin")]
        path = os.pathsep.join([*folders, os.environ["PATH"]])
        uv = [find_uv_bin(), "venv", "--no-config", "--clear", "--seed", "--python=3.12"]
        self._run([*uv, self.folder / "venv"], {"PATH": path})

    def _run_script(
        self, name: str, arguments: _Command, variables: Mapping[str, str] | None = None
    ) -> Path:
        """Run a script of this package in the twin's Python, and return its log."""
        # Without -P, Python would take modules beside the script for those that are imported.
        command: _Command = [self.python, "-P", FOLDER / name, *arguments]
        # Airflow writes its configuration into its home at the first import.
        home = {"AIRFLOW_HOME": str(self.folder / "import")}
        return self._run(command, {**(variables or {}), **home})

    def _run(self, command: _Command, variables: Mapping[str, str] | None = None) -> Path:
        """Run a command, and return its log; BundleError with the end of the log if it failed."""
        log = self.folder / "command.log"
        with log.open("w") as output:
            done = subprocess.run(
                command,
                env={**_clean_environment(), **(variables or {})},
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode != 0:
            raise BundleError(f"{' '.join(map(str, command[:5]))} ... failed.\n{tail(log)}")
        return log

    def _versions(self) -> dict[str, str]:
        """Return the versions of the installed packages by their normalised names."""
        (packages,) = (self.folder / "venv" / "lib").glob("python3.*/site-packages")
        installed = distributions(path=[str(packages)])
        return {canonicalize_name(each.metadata["Name"]): each.version for each in installed}


def build_twin(version: str, bundle: Path, work: Path, progress: Progress) -> Twin:
    """Make the twin of an image, or take the one that exists, and put a bundle into it.

    `version` is the image's version of Airflow; `work` is the folder of all twins.
    """
    requirements = (bundle / "requirements.txt").read_text()
    digest = hashlib.sha256(requirements.encode()).hexdigest()
    twin = Twin(work.absolute() / f"{version}-{digest[:12]}")
    twin.lay_out(bundle)
    if not twin.record.exists():
        progress(
            f"installing the packages of MWAA's image for Airflow {version} into {twin.folder}"
        )
        twin.install(version, requirements)
    return twin


def _image(version: str) -> list[str]:
    """Return what `uv pip install` takes for the packages of an image.

    The lists in images/ lack some packages that others require.
    """
    image = FOLDER / "images" / version
    if Path(f"{image}-installed.txt").exists():
        return [f"--requirement={image}-installed.txt", f"--constraint={image}-constraints.txt"]
    packages = [package.format(version=version) for package in PACKAGES]
    return [*packages, f"--constraint={_PUBLISHED.format(version)}"]


def _clean_environment() -> dict[str, str]:
    """Return this process's variables, without those of Airflow, AWS, the library and Python."""
    return environment_without("AIRFLOW", "AWS_", "ATHENA_REPORTS_", "PYTHON", "VIRTUAL_ENV")
