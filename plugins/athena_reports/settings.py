"""The names of a deployment, read once from the process's environment variables."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, DirectoryPath, Field, ValidationError

from athena_reports.errors import SettingsError

ENVIRONMENT_NAME = r"[a-z][a-z0-9]{0,14}"  # longer ones would make bucket names too long for S3

_ENDPOINT = "AWS_ENDPOINT_URL"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


class Encryption(BaseModel, frozen=True):
    """How written objects are encrypted: with SSE-S3, or with the KMS key of an id, ARN or alias."""

    algorithm: Literal["AES256", "aws:kms"]
    kms_key: str = Field(default="", pattern=r"^(|arn:\S+|alias/\S+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the encryption that `AES256`, or a KMS key, stands for."""
        return cls(algorithm="AES256") if text == "AES256" else cls(algorithm="aws:kms", kms_key=text)

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of PutObject and CreateMultipartUpload."""
        return {"ServerSideEncryption": self.algorithm} | ({"SSEKMSKeyId": self.kms_key} if self.kms_key else {})


def _text(pattern: str, expected: str) -> object:
    return Field(pattern=f"^({pattern})$", title=expected)


def _variable(field: str) -> str:
    return "ATHENA_REPORTS_" + {"environment": "ENV", "report_bucket": "BUCKET"}.get(field, field.upper())


_Identifier = Annotated[str, _text(r"[A-Za-z0-9_.-]{1,128}", "a name of letters, digits, '_', '-' and '.'")]
_Boolean = Annotated[bool, Field(title="true or false")]


class Settings(BaseModel, frozen=True, alias_generator=_variable, use_attribute_docstrings=True):
    """The names that one deployment uses. Each field is the variable that docs/reference/settings.md lists.

    `query_results` is None if the workgroup manages its results, and `encryption` is None for the bucket's default.
    """

    environment: Annotated[str, _text(ENVIRONMENT_NAME, "up to 15 lower-case letters and digits, such as stg or prd")]
    """The environment. The defaults below contain its name."""
    database: _Identifier
    """The Glue database that the queries read."""
    workgroup: _Identifier
    """The Athena workgroup that runs the queries."""
    query_results: Annotated[
        str | None,
        _text(rf"s3://{_BUCKET}/(.*/)?|managed", "an S3 location, such as s3://my-results/reports/, or 'managed'"),
        AfterValidator(lambda location: None if location == "managed" else location),
    ]
    """Where Athena writes query results. Say `managed` for a workgroup with managed query results."""
    report_bucket: Annotated[str, _text(_BUCKET, "a bucket's name, such as my-company-reports-prd")]
    """The bucket that reports are published to."""
    report_database: _Identifier
    """The Glue database of the published tables. It must exist."""
    bucket_owner: Annotated[str, _text("[0-9]{12}", "an account id of 12 digits")] = ""
    """The account that must own every bucket. A bucket of another account is neither read nor written."""
    encryption: Annotated[
        Encryption | None,
        BeforeValidator(Encryption.from_text),
        Field(title="AES256, or the ARN, the id or the alias of a KMS key"),
    ] = None
    """How published objects and query results are encrypted. The default is the bucket's own setting."""
    pool: Annotated[str, _text(r"[A-Za-z0-9_.-]{1,256}", "the name of an Airflow pool")] = "default_pool"
    """The Airflow pool of the tasks that submit queries and wait for them."""
    memory_limit: Annotated[str, _text(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", "an amount of memory, such as 256MB")] = "128MB"
    """The memory of DuckDB in one task. Beyond it, DuckDB writes to the disk."""
    aws_conn_id: Annotated[str, _text(r"\S+", "an Airflow connection id")] = "aws_default"
    """The Airflow connection of every AWS call."""
    sql_folder: Annotated[DirectoryPath, Field(title="a folder that exists")]
    """The folder of the SQL files, beside `dags/` or inside it."""
    paused: _Boolean = False
    """Whether a new DAG starts paused."""
    catchup: _Boolean = False
    """Whether a new DAG runs its past periods."""
    deferrable: _Boolean = True
    """Whether the triggerer waits for queries. Otherwise the waiting task is rescheduled."""


@cache
def settings() -> Settings:
    """Return the settings of this process; SettingsError if a variable is missing, wrong, or unknown."""
    return read_settings(os.environ)


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables; an empty one counts as not set. Errors as for `settings`."""
    known = {_variable(field): field for field in Settings.model_fields}
    given = {name: text for name, text in variables.items() if name.startswith(_variable(""))}
    for name in sorted(given.keys() - known):
        (nearest,) = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0)
        raise SettingsError(f"{name} is set, and there is no such setting. Did you mean {nearest}?")
    try:
        return Settings.model_validate(_defaults(variables) | {name: text for name, text in given.items() if text})
    except ValidationError as error:
        first = error.errors()[0]
        variable = str(first["loc"][0])
        expected = Settings.model_fields[known[variable]].title
        problem = f"{variable} is {first['input']!r}: expected {expected}."
        if first["type"] == "missing":
            problem = f"{variable} is not set. Away from a local endpoint ({_ENDPOINT}), set it to {expected}."
        raise SettingsError(problem) from None


def _defaults(variables: Mapping[str, str]) -> dict[str, object]:
    endpoint = variables.get(_ENDPOINT, "")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SettingsError(f"{_ENDPOINT} is {endpoint!r}: expected a URL, such as http://127.0.0.1:4566.")
    environment = variables.get(_variable("environment")) or ("dev" if endpoint else "")
    values: dict[str, object] = {"database": f"database_{environment}", "report_database": f"report_{environment}"}
    values["workgroup"] = environment
    if endpoint:  # bucket names are global in AWS: no default there
        values |= {"environment": environment, "query_results": f"s3://athena-query-result-{environment}/"}
        values["report_bucket"] = f"athena-report-{environment}"
    # Beside dags/, else inside it: Amazon MWAA ships only a dags folder.
    home = Path(__file__).resolve().parents[2]
    folders = [home / "include" / "sql", home / "dags" / "include" / "sql"]
    values["sql_folder"] = next(filter(Path.is_dir, folders), None)
    if not values["sql_folder"] and not variables.get(_variable("sql_folder")):
        places = " or ".join(map(str, folders))
        raise SettingsError(f"No folder of SQL files at {places}: create one, or name it in {_variable('sql_folder')}.")
    return {_variable(field): value for field, value in values.items()}
