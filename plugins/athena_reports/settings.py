"""The names of a deployment, read once from the process's environment variables."""

import os
import re
from collections.abc import Mapping
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
from pydantic_core import ErrorDetails

from athena_reports.errors import SettingsError, suggestion

PAGE_PATH = "/athena-reports"  # of the Reports page in Airflow's API server
ENVIRONMENT_NAME = r"[a-z][a-z0-9]{0,14}"  # longer ones would make bucket names too long for S3

_PREFIX = "ATHENA_REPORTS_"
_SHORT_NAMES = {"environment": "ENV", "report_bucket": "BUCKET"}
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
# A domain, or a channel of Slack by its name or its id, in lower case.
_RECIPIENT = r"([a-z0-9-]+\.)+[a-z0-9-]+|#[^\s,#@]+|[cgd][a-z0-9]{6,}"
_TWO_LAYERS = "aws:kms:dsse"  # DSSE-KMS
_KMS_KEY = r"^(|arn:\S+|alias/\S+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$"  # ARN, alias or id


class Encryption(BaseModel, frozen=True):
    """How written objects are encrypted: with SSE-S3, or with a KMS key in one or two layers."""

    algorithm: Literal["AES256", "aws:kms", "aws:kms:dsse"]
    kms_key: str = Field(default="", pattern=_KMS_KEY)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the encryption that `AES256`, or a KMS key, stands for."""
        if text == "AES256":
            return cls(algorithm="AES256")
        if text.startswith(_TWO_LAYERS):
            return cls(algorithm="aws:kms:dsse", kms_key=text.removeprefix(_TWO_LAYERS).lstrip(":"))
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


def _split_recipients(text: str) -> list[str]:
    recipients = [item.strip().lower() for item in text.split(",")]
    if not all(re.fullmatch(_RECIPIENT, item) for item in recipients):
        raise ValueError
    return recipients


def _variable(field: str) -> str:
    return _PREFIX + _SHORT_NAMES.get(field, field.upper())


_Identifier = Annotated[
    str,
    _text(r"[A-Za-z0-9_.-]{1,128}", "a name of letters, digits, '_', '-' and '.'"),
]
_Boolean = Annotated[bool, Field(title="true or false")]


class Settings(
    BaseModel,
    frozen=True,
    extra="forbid",
    alias_generator=_variable,
    use_attribute_docstrings=True,
):
    """The names that one deployment uses.

    Each field is the variable that docs/reference/settings.md lists. `query_results` is None if the
    workgroup manages its results, and `encryption` is None for the bucket's default.
    """

    environment: Annotated[
        str,
        _text(
            ENVIRONMENT_NAME,
            "the environment's name, such as prd: up to 15 lower-case letters and digits",
        ),
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
    report_bucket: Annotated[str, _text(_BUCKET, "a bucket name, such as my-company-reports-prd")]
    """The bucket that reports are published to."""
    report_database: _Identifier
    """The Glue database of the published tables. It must exist."""
    bucket_owner: Annotated[str, _text("[0-9]{12}", "a 12-digit account id")] = ""
    """The account that must own every bucket.

    A bucket of another account is neither read nor written.
    """
    encryption: Annotated[
        Encryption | None,
        BeforeValidator(Encryption.from_text),
        Field(title="AES256, the ARN, id or alias of a KMS key, or aws:kms:dsse:<key>"),
    ] = None
    """How published objects and query results are encrypted.

    The default is the bucket's own setting. Athena has no DSSE-KMS: with it, query results are
    encrypted as their bucket is.
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
        BeforeValidator(_split_recipients),
        Field(title="mail domains and Slack channels, such as example.com,#sales"),
    ] = frozenset()
    """Whom deliveries may go to: mail domains and Slack channels, separated by commas.

    A report with another recipient is an import error. Without it, `prd` takes no recipients.
    """
    aws_conn_id: Annotated[str, _text(r"\S+", "an Airflow connection id")] = "aws_default"
    """The Airflow connection of every AWS call."""
    sql_folder: Annotated[
        DirectoryPath | None, Field(title="an existing folder that contains the SQL files")
    ] = None
    """The folder of the SQL files.

    The default is the nearest `include/sql` above the file that declares the report, so each
    version of a DAG bundle reads its own SQL. Without one, it is beside Airflow's DAGs folder.
    """
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
        SettingsError: A variable is missing, wrong or unknown.
    """
    return read_settings(os.environ)


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables. An empty one counts as not set.

    Raises:
        SettingsError: Variables are missing, wrong or unknown. The message has a line for each.
    """
    endpoint_url = variables.get("AWS_ENDPOINT_URL", "")
    if endpoint_url and not re.match("https?://[^/]", endpoint_url):
        raise SettingsError(
            f"AWS_ENDPOINT_URL is {endpoint_url!r}. Set it to a URL, such as http://127.0.0.1:4566."
        )
    values = defaults(variables)
    for name, text in variables.items():
        if name.startswith(_PREFIX) and text:
            values[name] = text
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(map(_problem, error.errors()))) from None


def _problem(details: ErrorDetails) -> str:
    name = str(details["loc"][0])
    titles = {field.alias: field.title for field in Settings.model_fields.values()}
    if details["type"] == "missing":
        return f"{name} is not set. Set it to {titles[name]}."
    if details["type"] == "extra_forbidden":
        return f"{name} is not a setting.{suggestion(name.upper(), map(str, titles))}"
    return f"{name} is {str(details['input'])!r}. Set it to {titles[name]}."


def defaults(variables: Mapping[str, str]) -> dict[str, object]:
    """Return the default of each variable that has one which follows from others.

    The environment and the buckets have one at a local endpoint only.
    """
    has_endpoint = bool(variables.get("AWS_ENDPOINT_URL"))
    default_environment = "dev" if has_endpoint else ""
    environment = variables.get(_variable("environment")) or default_environment
    values: dict[str, object] = {
        _variable("database"): f"database_{environment}",
        _variable("report_database"): f"report_{environment}",
        _variable("workgroup"): environment,
    }
    if has_endpoint:  # bucket names are global in AWS: no default there
        values |= {
            _variable("environment"): environment,
            _variable("query_results"): f"s3://athena-query-result-{environment}/",
            _variable("report_bucket"): f"athena-report-{environment}",
        }
    return values


def find_sql_folder(declared_in: Path) -> Path:
    """Return the folder of the SQL files of what a file declares; it may not exist.

    It is the one of the settings; else the nearest `include/sql` above the file, which is that of
    the same version of a DAG bundle; else that of Airflow's DAGs folder, such as for a report that
    a module of the plugins folder declares.
    """
    named_folder = settings().sql_folder
    if named_folder is not None:
        return named_folder
    # Imported here, since most callers of this module need no Airflow.
    from airflow.configuration import conf

    dags_folder = Path(conf.get_mandatory_value("core", "dags_folder")).absolute()
    for parent in (*declared_in.parents, dags_folder, dags_folder.parent):
        folder = parent / "include" / "sql"
        if folder.is_dir():
            return folder
    return folder
