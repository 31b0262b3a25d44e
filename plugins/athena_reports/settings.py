"""Names per environment, read once from the process's environment variables.

docs/settings.md lists the variables with their defaults. Bucket names are global in AWS, so the two defaults
that name a bucket hold only with a local endpoint, which is one that `AWS_ENDPOINT_URL` gives. Airflow
Variables are not used: reading one while a DAG file is parsed costs a query to the metadata database, every
time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from athena_reports.errors import SettingsError

ENVIRONMENT_NAME = r"[a-z][a-z0-9]{0,14}"
"""What an environment can be called; names of buckets with a longer one would be too long for S3."""

_PREFIX = "ATHENA_REPORTS_"
_NAMES = (
    *("ENV", "DATABASE", "WORKGROUP", "QUERY_RESULTS", "BUCKET", "REPORT_DATABASE", "BUCKET_OWNER"),
    *(
        "ENCRYPTION",
        "POOL",
        "BACKFILL_BUDGET",
        "AWS_CONN_ID",
        "SQL_FOLDER",
        "PAUSED",
        "CATCHUP",
        "DEFERRABLE",
    ),
)
_ENDPOINT = "AWS_ENDPOINT_URL"
_LOCAL_ENVIRONMENT = "dev"
_MANAGED = "managed"
_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Encryption:
    """How what is written is encrypted.

    Attributes:
        algorithm: `AES256` (SSE-S3) or `aws:kms` (SSE-KMS).
        kms_key: Id or ARN of the key, with `aws:kms`.
    """

    algorithm: str
    kms_key: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of PutObject and CreateMultipartUpload."""
        key = {"SSEKMSKeyId": self.kms_key} if self.kms_key else {}
        return {"ServerSideEncryption": self.algorithm, **key}


@dataclass(frozen=True)
class Settings:
    """The names that one deployment uses.

    Attributes:
        environment: Short name of the environment, for example `prd`.
        database: Glue database of the source tables.
        workgroup: Athena workgroup.
        query_results: `s3://bucket/prefix/` of Athena's results, with the closing slash; None where
            the workgroup keeps its results itself.
        report_bucket: Name of the bucket that reports are published to.
        report_database: Glue database of the published tables.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
        pool: Airflow pool that bounds how many queries run at once.
        backfill_budget_bytes: What the backfills of one DAG may scan in 24 hours; None for no limit.
        aws_conn_id: Airflow connection id.
        sql_folder: Folder of the SQL files.
        paused: Whether a DAG starts paused when it is first seen.
        catchup: Whether a DAG creates runs for the periods since its report's `since`.
        deferrable: Whether queries are waited for in the triggerer; else the wait is rescheduled.
    """

    environment: str
    database: str
    workgroup: str
    query_results: str | None
    report_bucket: str
    report_database: str
    bucket_owner: str
    encryption: Encryption | None
    pool: str
    backfill_budget_bytes: int | None
    aws_conn_id: str
    sql_folder: Path
    paused: bool
    catchup: bool
    deferrable: bool


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsError: A variable is missing, wrong, or unknown.
    """
    return read_settings(os.environ)


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings from `variables`, given as the environment gives them.

    Raises:
        SettingsError: A variable is missing, wrong, or unknown.
    """
    _refuse_unknown(variables)
    local = _has_endpoint(variables)
    environment = _environment(variables, local=local)

    def value(name: str, default: str | None, pattern: str, expected: str) -> str:
        return _value(variables, name, default, pattern, expected)

    identifier = (r"[A-Za-z0-9_.-]{1,128}", "a name of letters, digits, '_', '-' and '.'")
    results = value(
        "QUERY_RESULTS",
        f"s3://athena-query-result-{environment}/" if local else None,
        rf"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]/(.*/)?|{_MANAGED}",
        "an S3 location with a closing slash, such as s3://my-query-results/reports/, or 'managed' where the "
        "workgroup keeps its results itself",
    )
    return Settings(
        environment=environment,
        database=value("DATABASE", f"database_{environment}", *identifier),
        workgroup=value("WORKGROUP", environment, *identifier),
        query_results=None if results == _MANAGED else results,
        report_bucket=value(
            "BUCKET",
            f"athena-report-{environment}" if local else None,
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "a bucket's name, such as my-company-reports-prd",
        ),
        report_database=value("REPORT_DATABASE", f"report_{environment}", *identifier),
        bucket_owner=value("BUCKET_OWNER", "", r"(\d{12})?", "an account id of 12 digits"),
        encryption=_encryption(variables),
        pool=value("POOL", f"athena_{environment}", r"[\w.-]{1,256}", "the name of an Airflow pool"),
        backfill_budget_bytes=_bytes(
            value("BACKFILL_BUDGET", "", r"(\d+(\.\d+)? ?[KMGT]?B)?", "an amount of data, such as 500 GB")
        ),
        aws_conn_id=value("AWS_CONN_ID", "aws_default", r"\S+", "an Airflow connection id"),
        sql_folder=_sql_folder(variables),
        paused=_boolean(variables, "PAUSED", default="false"),
        catchup=_boolean(variables, "CATCHUP", default="false"),
        deferrable=_boolean(variables, "DEFERRABLE", default="true"),
    )


def _refuse_unknown(variables: Mapping[str, str]) -> None:
    """Refuse a name that nothing reads: it is misspelt, and the default of the one meant would apply."""
    known = [_PREFIX + name for name in _NAMES]
    for name in sorted(variables):
        if name.startswith(_PREFIX) and name not in known:
            (nearest,) = get_close_matches(name.upper(), known, n=1, cutoff=0)
            raise SettingsError(f"{name} is set, and there is no such setting. Did you mean {nearest}?")


def _has_endpoint(variables: Mapping[str, str]) -> bool:
    endpoint = variables.get(_ENDPOINT, "")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SettingsError(f"{_ENDPOINT} is {endpoint!r}: expected a URL, such as http://127.0.0.1:4566.")
    return bool(endpoint)


def _environment(variables: Mapping[str, str], *, local: bool) -> str:
    expected = "a short name in lower case, of up to 15 letters and digits, such as dev, stg or prd"
    default = _LOCAL_ENVIRONMENT if local else None
    return _value(variables, "ENV", default, ENVIRONMENT_NAME, expected)


def _value(variables: Mapping[str, str], name: str, default: str | None, pattern: str, expected: str) -> str:
    text = variables.get(_PREFIX + name) or default
    if text is None:
        raise SettingsError(
            f"{_PREFIX}{name} is not set. Away from a local endpoint ({_ENDPOINT}) it has no default: "
            f"set it to {expected}."
        )
    if not re.fullmatch(pattern, text):
        raise SettingsError(f"{_PREFIX}{name} is {text!r}: expected {expected}.")
    return text


def _encryption(variables: Mapping[str, str]) -> Encryption | None:
    named = _value(
        variables,
        "ENCRYPTION",
        "",
        r"(AES256|arn:\S+|alias/\S+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})?",
        "AES256, or the ARN, the id or the alias of a KMS key",
    )
    if not named:
        return None
    return Encryption("AES256") if named == "AES256" else Encryption("aws:kms", named)


def _bytes(text: str) -> int | None:
    """Return an amount of data in bytes; units are decimal, as in Athena's prices."""
    if not text:
        return None
    unit = next(unit for unit in _BYTES if text.endswith(unit))
    return int(float(text.removesuffix(unit)) * _BYTES[unit])


def _boolean(variables: Mapping[str, str], name: str, *, default: str) -> bool:
    text = variables.get(_PREFIX + name) or default
    if text.lower() not in _BOOLEANS:
        raise SettingsError(f"{_PREFIX}{name} is {text!r}: expected true or false.")
    return _BOOLEANS[text.lower()]


def _sql_folder(variables: Mapping[str, str]) -> Path:
    """One rule for the repository, containers and MWAA: `include/sql` beside `dags/`, or inside it.

    MWAA ships only a dags folder, so there it can only be inside. Both are looked for under the folder
    that holds `plugins/`, and the one beside `dags/` wins.
    """
    if named := variables.get(_PREFIX + "SQL_FOLDER"):
        folder = Path(named)
        if not folder.is_dir():
            raise SettingsError(f"{_PREFIX}SQL_FOLDER is {named!r}: there is no such folder.")
        return folder
    home = Path(__file__).resolve().parents[2]
    candidates = [home / "include" / "sql", home / "dags" / "include" / "sql"]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SettingsError(
        f"No folder of SQL files: looked for {' and '.join(map(str, candidates))}. "
        f"Create one, or name it in {_PREFIX}SQL_FOLDER."
    )
