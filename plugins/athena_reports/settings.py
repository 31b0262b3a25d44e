"""The names of a deployment, read once from the process's environment variables.

docs/settings.md lists the variables with their defaults. Bucket names are global in AWS, so the two defaults
that name a bucket apply only with a local endpoint (`AWS_ENDPOINT_URL`). Airflow Variables are not used:
reading one while a DAG file is parsed costs a query to the metadata database each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    ValidationError,
)

from athena_reports.errors import SettingsError

ENVIRONMENT_NAME = r"[a-z][a-z0-9]{0,14}"
"""The form of an environment's name. Longer ones would make bucket names too long for S3."""

_PREFIX = "ATHENA_REPORTS_"
_ENDPOINT = "AWS_ENDPOINT_URL"
_LOCAL_ENVIRONMENT = "dev"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


class Encryption(BaseModel):
    """How written objects are encrypted.

    Attributes:
        algorithm: `AES256` (SSE-S3) or `aws:kms` (SSE-KMS).
        kms_key: Id, ARN or alias of the key, with `aws:kms`.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: Literal["AES256", "aws:kms"]
    kms_key: str = Field(default="", pattern=r"^(|arn:\S+|alias/\S+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$")

    @classmethod
    def from_text(cls, text: str) -> Encryption:
        """Return the encryption that `AES256`, or a KMS key, stands for."""
        return cls(algorithm="AES256") if text == "AES256" else cls(algorithm="aws:kms", kms_key=text)

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of PutObject and CreateMultipartUpload."""
        key = {"SSEKMSKeyId": self.kms_key} if self.kms_key else {}
        return {"ServerSideEncryption": self.algorithm, **key}


def _text(pattern: str, expected: str) -> object:
    return Field(pattern=f"^({pattern})$", description=expected)


def _variable(field: str) -> str:
    return _PREFIX + {"environment": "ENV", "report_bucket": "BUCKET"}.get(field, field.upper())


_Identifier = Annotated[str, _text(r"[A-Za-z0-9_.-]{1,128}", "a name of letters, digits, '_', '-' and '.'")]
_Boolean = Annotated[bool, Field(description="true or false")]


class Settings(BaseModel):
    """The names that one deployment uses. A field's alias is its variable, its description what it takes.

    Attributes:
        environment: Short name of the environment, for example `prd`.
        database: Glue database of the source tables.
        workgroup: Athena workgroup.
        query_results: `s3://bucket/prefix/` of Athena's results; None if the workgroup manages them.
        report_bucket: Name of the bucket that reports are published to.
        report_database: Glue database of the published tables.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How written objects are encrypted; None for the bucket's default.
        pool: Airflow pool of the tasks that run and wait for queries.
        memory_limit: DuckDB's memory limit of one transform or publish task, such as `128MB`.
        aws_conn_id: Airflow connection id.
        sql_folder: Folder of the SQL files.
        paused: Whether a DAG starts paused when it is first seen.
        catchup: Whether a DAG creates runs for the periods since its report's `since`.
        deferrable: Whether queries are waited for in the triggerer; else the sensor reschedules itself.
    """

    model_config = ConfigDict(frozen=True, alias_generator=_variable)

    environment: Annotated[
        str, _text(ENVIRONMENT_NAME, "up to 15 lower-case letters and digits, such as dev, stg or prd")
    ]
    database: _Identifier
    workgroup: _Identifier
    query_results: Annotated[
        str | None,
        _text(
            rf"s3://{_BUCKET}/(.*/)?|managed",
            "an S3 location with a closing slash, such as s3://my-query-results/reports/, or 'managed' where "
            "the workgroup keeps its results itself",
        ),
        AfterValidator(lambda location: None if location == "managed" else location),
    ]
    report_bucket: Annotated[str, _text(_BUCKET, "a bucket's name, such as my-company-reports-prd")]
    report_database: _Identifier
    bucket_owner: Annotated[str, _text("[0-9]{12}", "an account id of 12 digits")] = ""
    encryption: Annotated[
        Encryption | None,
        BeforeValidator(Encryption.from_text),
        Field(description="AES256, or the ARN, the id or the alias of a KMS key"),
    ] = None
    pool: Annotated[str, _text(r"[A-Za-z0-9_.-]{1,256}", "the name of an Airflow pool")] = "default_pool"
    memory_limit: Annotated[str, _text(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", "an amount of memory, such as 256MB")] = "128MB"
    aws_conn_id: Annotated[str, _text(r"\S+", "an Airflow connection id")] = "aws_default"
    sql_folder: Annotated[DirectoryPath, Field(description="a folder that exists")]
    paused: _Boolean = False
    catchup: _Boolean = False
    deferrable: _Boolean = True


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsError: A variable is missing, wrong, or unknown.
    """
    return read_settings(os.environ)


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables. An empty one counts as not set.

    Raises:
        SettingsError: A variable is missing, wrong, or unknown.
    """
    known = {_variable(field) for field in Settings.model_fields}
    given = {name: text for name, text in variables.items() if name.startswith(_PREFIX)}
    for name in sorted(given.keys() - known):
        (nearest,) = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0)
        raise SettingsError(f"{name} is set, and there is no such setting. Did you mean {nearest}?")
    values = {name: text for name, text in given.items() if text}
    try:
        return Settings.model_validate(_defaults(variables) | values)
    except ValidationError as error:
        raise _explained(error) from None


def _defaults(variables: Mapping[str, str]) -> dict[str, object]:
    """The defaults that depend on other variables or on the machine."""
    endpoint = variables.get(_ENDPOINT, "")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SettingsError(f"{_ENDPOINT} is {endpoint!r}: expected a URL, such as http://127.0.0.1:4566.")
    environment = variables.get(_variable("environment")) or (_LOCAL_ENVIRONMENT if endpoint else "")
    values: dict[str, object] = {
        "database": f"database_{environment}",
        "workgroup": environment,
        "report_database": f"report_{environment}",
    }
    if endpoint:
        values |= {
            "environment": environment,
            "query_results": f"s3://athena-query-result-{environment}/",
            "report_bucket": f"athena-report-{environment}",
        }
    if not variables.get(_variable("sql_folder")):
        values["sql_folder"] = _default_sql_folder()
    return {_variable(field): value for field, value in values.items()}


def _default_sql_folder() -> Path:
    """`include/sql` beside `dags/`, else inside it: Amazon MWAA ships only a dags folder."""
    home = Path(__file__).resolve().parents[2]
    candidates = [home / "include" / "sql", home / "dags" / "include" / "sql"]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SettingsError(
        f"There is no folder of SQL files at {' or '.join(map(str, candidates))}. "
        f"Create one, or name it in {_variable('sql_folder')}."
    )


def _explained(error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    variable = str(first["loc"][0])
    (expected,) = (f.description for name, f in Settings.model_fields.items() if _variable(name) == variable)
    if first["type"] == "missing":
        return SettingsError(
            f"{variable} is not set. Away from a local endpoint ({_ENDPOINT}) it has no default: set it to {expected}."
        )
    return SettingsError(f"{variable} is {first['input']!r}: expected {expected}.")
