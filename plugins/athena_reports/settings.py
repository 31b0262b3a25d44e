"""The names of a deployment, read once from the process's environment variables."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    DirectoryPath,
    Field,
    ValidationError,
)

from athena_reports.errors import SettingsError

PAGE_PATH = "/athena-reports"  # of the Reports page in Airflow's API server
ENVIRONMENT_NAME = r"[a-z][a-z0-9]{0,14}"  # longer ones would make bucket names too long for S3

_PREFIX = "ATHENA_REPORTS_"
_ENDPOINT = "AWS_ENDPOINT_URL"
_DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
# A domain, or a channel of Slack by its name or its id, in lower case.
_RECIPIENT = r"([a-z0-9-]+\.)+[a-z0-9-]+|#[^\s,#@]+|[cgd][a-z0-9]{6,}"
_KMS_KEY = r"^(|arn:\S+|alias/\S+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$"  # ARN, alias or id


class Encryption(BaseModel, frozen=True):
    """How written objects are encrypted: with SSE-S3, or with a KMS key."""

    algorithm: Literal["AES256", "aws:kms"]
    kms_key: str = Field(default="", pattern=_KMS_KEY)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the encryption that `AES256`, or a KMS key, stands for."""
        if text == "AES256":
            return cls(algorithm="AES256")
        return cls(algorithm="aws:kms", kms_key=text)

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of PutObject and CreateMultipartUpload."""
        arguments: dict[str, str] = {"ServerSideEncryption": self.algorithm}
        if self.kms_key:
            arguments["SSEKMSKeyId"] = self.kms_key
        return arguments


def _text(pattern: str, expected: str) -> object:
    """Return a field for texts of a pattern, which errors and the docs describe as `expected`."""
    return Field(pattern=f"^({pattern})$", title=expected)


def _none_if_managed(location: str) -> str | None:
    return None if location == "managed" else location


def _split(text: str) -> list[str]:
    """Return the recipients of a text; ValueError if one is neither a domain nor a channel."""
    recipients = [item.strip().lower() for item in text.split(",")]
    if not all(re.fullmatch(_RECIPIENT, item) for item in recipients):
        raise ValueError
    return recipients


def _variable(field: str) -> str:
    """Return the environment variable of a field."""
    if field == "environment":
        return f"{_PREFIX}ENV"
    if field == "report_bucket":
        return f"{_PREFIX}BUCKET"
    return _PREFIX + field.upper()


_Identifier = Annotated[
    str,
    _text(r"[A-Za-z0-9_.-]{1,128}", "a name of letters, digits, '_', '-' and '.'"),
]
_Boolean = Annotated[bool, Field(title="true or false")]


class Settings(BaseModel, frozen=True, alias_generator=_variable, use_attribute_docstrings=True):
    """The names that one deployment uses.

    Each field is the variable that docs/reference/settings.md lists. `query_results` is None if the
    workgroup manages its results, and `encryption` is None for the bucket's default.
    """

    environment: Annotated[
        str,
        _text(ENVIRONMENT_NAME, "up to 15 lower-case letters and digits, such as stg or prd"),
    ]
    """The environment. The defaults below contain its name."""
    database: _Identifier
    """The Glue database that the queries read."""
    workgroup: _Identifier
    """The Athena workgroup that runs the queries."""
    query_results: Annotated[
        str | None,
        _text(
            rf"s3://{_BUCKET}/(.*/)?|managed",
            "an S3 location, such as s3://my-results/reports/, or 'managed'",
        ),
        AfterValidator(_none_if_managed),
    ]
    """Where Athena writes query results.

    Say `managed` for a workgroup with managed query results.
    """
    report_bucket: Annotated[str, _text(_BUCKET, "a bucket's name, such as my-company-reports-prd")]
    """The bucket that reports are published to."""
    report_database: _Identifier
    """The Glue database of the published tables. It must exist."""
    bucket_owner: Annotated[str, _text("[0-9]{12}", "an account id of 12 digits")] = ""
    """The account that must own every bucket.

    A bucket of another account is neither read nor written.
    """
    encryption: Annotated[
        Encryption | None,
        BeforeValidator(Encryption.from_text),
        Field(title="AES256, or the ARN, the id or the alias of a KMS key"),
    ] = None
    """How published objects and query results are encrypted.

    The default is the bucket's own setting.
    """
    pool: Annotated[
        str,
        _text(r"[A-Za-z0-9_.-]{1,256}", "the name of an Airflow pool"),
    ] = "default_pool"
    """The Airflow pool of the tasks that submit queries and wait for them."""
    memory_limit: Annotated[
        str,
        _text(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", "an amount of memory, such as 256MB"),
    ] = "128MB"
    """The memory of DuckDB in one task. Beyond it, DuckDB writes to the disk."""
    recipients: Annotated[
        frozenset[str],
        BeforeValidator(_split),
        Field(title="domains of mail and Slack channels, such as example.com,#sales"),
    ] = frozenset()
    """Whom deliveries may go to: domains of mail and Slack channels, with commas between.

    A report with another recipient is an import error. Without it, `prd` takes no recipients.
    """
    aws_conn_id: Annotated[str, _text(r"\S+", "an Airflow connection id")] = "aws_default"
    """The Airflow connection of every AWS call."""
    sql_folder: Annotated[DirectoryPath, Field(title="a folder that exists")]
    """The folder of the SQL files. The default is beside Airflow's DAGs folder, or inside it."""
    paused: _Boolean = False
    """Whether a new DAG starts paused."""
    catchup: _Boolean = False
    """Whether a new DAG runs its past periods."""
    deferrable: _Boolean = True
    """Whether the triggerer waits for queries. Otherwise the waiting task is rescheduled."""


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsError: If a variable is missing, wrong or unknown.
    """
    return read_settings(os.environ)


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables. An empty one counts as not set.

    Raises:
        SettingsError: If a variable is missing, wrong or unknown.
    """
    ours = {name: text for name, text in variables.items() if name.startswith(_PREFIX)}
    fields = {_variable(field): field for field in Settings.model_fields}
    _refuse_unknown(ours, list(fields))

    values = _defaults(variables)
    for name, text in ours.items():
        if text:
            values[name] = text
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        expected = Settings.model_fields[fields[name]].title
        if first["type"] == "missing":
            problem = f"{name} is not set. "
            problem += f"Away from a local endpoint ({_ENDPOINT}), set it to {expected}."
        else:
            problem = f"{name} is {first['input']!r}: expected {expected}."
        raise SettingsError(problem) from None


def _refuse_unknown(names: Iterable[str], known: Sequence[str]) -> None:
    for name in sorted(names):
        if name not in known:
            nearest = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0)[0]
            problem = f"{name} is set, and there is no such setting. Did you mean {nearest}?"
            raise SettingsError(problem)


def _defaults(variables: Mapping[str, str]) -> dict[str, object]:
    """Return the default of each variable that has one.

    The environment and the buckets have one at a local endpoint only.
    """
    endpoint = variables.get(_ENDPOINT, "")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SettingsError(
            f"{_ENDPOINT} is {endpoint!r}: expected a URL, such as http://127.0.0.1:4566."
        )

    environment = variables.get(_variable("environment"), "")
    if endpoint and not environment:
        environment = "dev"
    defaults: dict[str, object] = {
        _variable("database"): f"database_{environment}",
        _variable("report_database"): f"report_{environment}",
        _variable("workgroup"): environment,
    }
    if endpoint:  # bucket names are global in AWS: no default there
        defaults[_variable("environment")] = environment
        defaults[_variable("query_results")] = f"s3://athena-query-result-{environment}/"
        defaults[_variable("report_bucket")] = f"athena-report-{environment}"

    sql_folder = _variable("sql_folder")
    if not variables.get(sql_folder):
        defaults[sql_folder] = _sql_folder(variables)
    return defaults


def _sql_folder(variables: Mapping[str, str]) -> Path:
    """Return the folder of the SQL files: beside Airflow's DAGs folder, else inside it.

    It may be inside because Amazon MWAA ships only a DAGs folder.
    """
    dags_folder = variables.get(_DAGS_FOLDER)
    if not dags_folder:
        dags_folder = _configured_dags_folder()
    dags = Path(dags_folder).absolute()
    folders = [dags.parent / "include" / "sql", dags / "include" / "sql"]
    for folder in folders:
        if folder.is_dir():
            return folder
    places = " or ".join(str(folder) for folder in folders)
    name = _variable("sql_folder")
    raise SettingsError(f"No folder of SQL files at {places}: create one, or name it in {name}.")


def _configured_dags_folder() -> str:
    """Return the DAGs folder of Airflow's configuration.

    It is asked only here: a process whose environment names the folder need not import Airflow.
    """
    from airflow.configuration import conf

    return conf.get_mandatory_value("core", "dags_folder")
