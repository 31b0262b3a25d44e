"""What MWAA's images for Airflow 3 do, in one place: where things lie, what pip is told, which variables win.

From the sources of the images (github.com/aws/amazon-mwaa-docker-images) and MWAA's user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

PYTHON = (3, 12)
HOME = PurePosixPath("/usr/local/airflow")
"""AIRFLOW_HOME; `dags/`, `plugins/`, `requirements/` and `startup/` lie in it."""

PIP_SECONDS = 9 * 60
"""How long requirements.txt may take; after that MWAA goes on without what is missing."""

STARTUP_SECONDS = 5 * 60
"""How long startup.sh may take."""

EXTRAS = ("amazon", "celery", "fab", "http", "postgres", "smtp", "standard")
"""Airflow's extras that every image has."""

FURTHER = ("aiobotocore", "gunicorn", "statsd")
"""Packages that every image has and that these extras do not bring."""

ESSENTIAL = frozenset(
    {
        *("apache-airflow", "billiard", "celery", "fluent-logger", "gevent", "greenlet", "gunicorn", "kombu"),
        *("flask", "flask-appbuilder", "flask-babel", "flask-bcrypt", "flask-caching", "flask-jwt-extended"),
        *("flask-limiter", "flask-login", "flask-sqlalchemy", "flask-session", "flask-wtf"),
        *("sqlalchemy", "sqlalchemy-jsonfield", "sqlalchemy-utils", "statsd", "vine", "watchtower"),
    }
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
"""Airflow's settings that MWAA makes unless startup.sh does, as far as they mean something outside of AWS."""

FORCED: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__MULTI_TEAM": "False",
    "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
    "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
}
"""Airflow's settings that MWAA makes whatever startup.sh says."""

_PROTECTED = frozenset(
    {
        *(
            "AIRFLOW_ENV_ID",
            "AIRFLOW_ENV_NAME",
            "AIRFLOW_HOME",
            "AIRFLOW_TASK_REVISION_ID",
            "AIRFLOW_VERSION",
        ),
        *("AIRFLOW__API__BASE_URL", "AIRFLOW__AWS_MWAA__REDIRECT_URL", "AIRFLOW__WEBSERVER__BASE_URL"),
        *("AIRFLOW__CORE__DATABASE_ACCESS_ISOLATION", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        *("AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_REGION", "CUSTOMER_ACCOUNT_ID", "ECS_AGENT_URI"),
        *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4", "JWT_PUBLIC_KEY", "PYTHONPATH"),
        *("PYTHONUNBUFFERED", "USE_NON_CRITICAL_LOGGING", "WATCHTOWER_VERSION"),
        # What a component cannot run without; the values are MWAA's own.
        *("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_ALGORITHM", "AIRFLOW__API_AUTH__JWT_SECRET"),
        *("AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"),
        *("AIRFLOW__CELERY__EXTRA_CELERY_CONFIG", "AIRFLOW__CELERY__RESULT_BACKEND"),
        *("AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL", "AIRFLOW__CORE__AUTH_MANAGER"),
        *("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__FERNET_KEY"),
        *("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__OPERATORS__DEFAULT_QUEUE"),
        *FORCED,
    }
)


def is_protected(variable: str) -> bool:
    """Whether MWAA keeps its own value of a variable, whatever startup.sh exports."""
    return variable.startswith("MWAA__") or variable in _PROTECTED


def names_constraints(requirements: str) -> bool:
    """Whether the image leaves the constraints to requirements.txt; else it forces its own.

    It looks for the option in each line without asking whether pip reads that line: a comment counts.
    """
    return any(re.search(r"-c |--constraint ", line) for line in requirements.splitlines())


def constraints_that_pip_reads(requirements: str) -> list[str]:
    """The constraints files that pip is told of by requirements.txt."""
    option = re.compile(r"""^\s*(?:-c|--constraint)(?:\s+|=)["']?([^"'\s]+)["']?""")
    return [match[1] for line in requirements.splitlines() if (match := option.match(line))]


def normalised(name: str) -> str:
    """The name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
