from __future__ import annotations

import re
from pathlib import Path

import pytest

from athena_reports import settings as module
from athena_reports.errors import SettingsError
from athena_reports.settings import Settings, read_settings, settings

LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
ROOT = Path(__file__).resolve().parents[2]
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
PRODUCTION = {
    "ATHENA_REPORTS_ENV": "prd",
    "ATHENA_REPORTS_QUERY_RESULTS": "s3://acme-results/athena/",
    "ATHENA_REPORTS_BUCKET": "acme-reports",
}


@pytest.mark.parametrize("environment", ["dev", "stg", "prd"])
def test_the_names_of_an_environment_follow_from_it(environment: str) -> None:
    names = read_settings(LOCAL | {"ATHENA_REPORTS_ENV": environment})

    assert names.environment == environment
    assert names.database == f"database_{environment}"
    assert names.workgroup == environment
    assert names.query_results == f"s3://athena-query-result-{environment}/"
    assert names.report_bucket == f"athena-report-{environment}"
    assert names.report_database == f"report_{environment}"


@pytest.mark.parametrize("variable", sorted(PRODUCTION))
def test_away_from_a_local_endpoint_the_environment_and_the_buckets_must_be_named(variable: str) -> None:
    without = {name: value for name, value in PRODUCTION.items() if name != variable}

    with pytest.raises(SettingsError, match=rf"^{variable} is not set.*AWS_ENDPOINT_URL"):
        read_settings(without)


def test_away_from_a_local_endpoint_named_ones_are_taken_and_the_others_follow() -> None:
    names = read_settings(PRODUCTION)

    assert (names.database, names.workgroup) == ("database_prd", "prd")
    assert (names.query_results, names.report_bucket) == ("s3://acme-results/athena/", "acme-reports")


@pytest.mark.parametrize(
    ("variable", "value", "attribute"),
    [
        ("DATABASE", "lake", "database"),
        ("WORKGROUP", "reports-wg", "workgroup"),
        ("QUERY_RESULTS", "s3://acme-results/", "query_results"),
        ("BUCKET", "acme-reports", "report_bucket"),
        ("REPORT_DATABASE", "reports", "report_database"),
        ("BUCKET_OWNER", "012345678901", "bucket_owner"),
        ("POOL", "athena_prd", "pool"),
        ("MEMORY_LIMIT", "1.5 GB", "memory_limit"),
        ("AWS_CONN_ID", "aws_reports", "aws_conn_id"),
    ],
)
def test_each_name_can_be_overridden_alone(variable: str, value: str, attribute: str) -> None:
    default = read_settings(LOCAL)
    changed = read_settings(LOCAL | {f"ATHENA_REPORTS_{variable}": value})

    assert getattr(changed, attribute) == value
    differing = {name for name in dict(default) if getattr(default, name) != getattr(changed, name)}
    assert differing == {attribute}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENV", "Production"),
        ("ENV", "dev\n"),
        ("ENV", "a" * 16),
        ("DATABASE", "my database"),
        ("WORKGROUP", "a b"),
        ("REPORT_DATABASE", "my reports"),
        ("BUCKET_OWNER", "12345"),
        ("ENCRYPTION", "AES-256"),
        ("QUERY_RESULTS", "s3://results"),
        ("QUERY_RESULTS", "s3://results/without/slash"),
        ("BUCKET", "s3://acme-reports"),
        ("BUCKET", "Acme"),
        ("AWS_CONN_ID", "aws default"),
        ("POOL", "my pool"),
        ("MEMORY_LIMIT", "128"),
        ("DEFERRABLE", "maybe"),
        ("SQL_FOLDER", "/no/such/folder"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_the_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(LOCAL | {f"ATHENA_REPORTS_{variable}": value})

    assert f"ATHENA_REPORTS_{variable}" in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("True", True), ("1", True), ("false", False), ("0", False), ("", None)],
)
@pytest.mark.parametrize(("name", "default"), [("paused", False), ("catchup", False), ("deferrable", True)])
def test_booleans(name: str, default: bool, text: str, meant: bool | None) -> None:
    names = read_settings(LOCAL | {f"ATHENA_REPORTS_{name.upper()}": text})

    assert getattr(names, name) is (default if meant is None else meant)


def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *folders: str) -> Path:
    """A deployment in a folder of the test's own, with the given folders in it."""
    library = tmp_path / "plugins" / "athena_reports" / "settings.py"
    for folder in (library.parent, *(tmp_path / name for name in folders)):
        folder.mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(library))
    return tmp_path


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["include/sql"], "include/sql"),
        (["dags/include/sql"], "dags/include/sql"),
        (["include/sql", "dags/include/sql"], "include/sql"),
    ],
)
def test_the_sql_folder_lies_beside_dags_or_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: list[str], found: str
) -> None:
    home = _home(tmp_path, monkeypatch, *present)

    assert read_settings(LOCAL).sql_folder == home / found


def test_without_a_sql_folder_the_error_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _home(tmp_path, monkeypatch)

    with pytest.raises(SettingsError) as caught:
        read_settings(LOCAL)
    assert str(home / "include" / "sql") in str(caught.value)
    assert str(home / "dags" / "include" / "sql") in str(caught.value)
    assert "ATHENA_REPORTS_SQL_FOLDER" in str(caught.value)


def test_the_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings()
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "stg")

    assert settings() is before


def test_the_documentation_lists_every_variable_that_is_read_with_its_default() -> None:
    names = read_settings(LOCAL)
    documented = dict(re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \| (.+?) \|", SETTINGS_PAGE, re.MULTILINE))
    assert set(documented) == {field.alias for field in Settings.model_fields.values()}

    defaults = {
        name: found[1].format(env="dev") if (found := re.match("`(.+?)`", text)) else ""
        for name, text in documented.items()
    }
    assert defaults == {
        "ATHENA_REPORTS_ENV": names.environment,
        "ATHENA_REPORTS_DATABASE": names.database,
        "ATHENA_REPORTS_WORKGROUP": names.workgroup,
        "ATHENA_REPORTS_QUERY_RESULTS": names.query_results,
        "ATHENA_REPORTS_BUCKET": names.report_bucket,
        "ATHENA_REPORTS_REPORT_DATABASE": names.report_database,
        "ATHENA_REPORTS_BUCKET_OWNER": names.bucket_owner,
        "ATHENA_REPORTS_ENCRYPTION": names.encryption or "",
        "ATHENA_REPORTS_POOL": names.pool,
        "ATHENA_REPORTS_MEMORY_LIMIT": names.memory_limit,
        "ATHENA_REPORTS_AWS_CONN_ID": names.aws_conn_id,
        "ATHENA_REPORTS_SQL_FOLDER": names.sql_folder.relative_to(ROOT).as_posix(),
        "ATHENA_REPORTS_PAUSED": str(names.paused).lower(),
        "ATHENA_REPORTS_CATCHUP": str(names.catchup).lower(),
        "ATHENA_REPORTS_DEFERRABLE": str(names.deferrable).lower(),
    }


def test_the_documentation_says_which_defaults_hold_with_a_local_endpoint_only() -> None:
    rows = re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \| (.+?) \|", SETTINGS_PAGE, re.MULTILINE)

    local_only = {name for name, default in rows if default.endswith("with a local endpoint only")}
    assert local_only == set(PRODUCTION)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("ATHENA_REPORTS_BUKET", "ATHENA_REPORTS_BUCKET"),
        ("ATHENA_REPORTS_MEMROY_LIMIT", "ATHENA_REPORTS_MEMORY_LIMIT"),
        ("ATHENA_REPORTS_CONN_ID", "ATHENA_REPORTS_AWS_CONN_ID"),
        ("ATHENA_REPORTS_ENVIRONMENT", "ATHENA_REPORTS_ENV"),
        ("ATHENA_REPORTS_deferrable", "ATHENA_REPORTS_DEFERRABLE"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused_with_the_one_meant(misspelt: str, meant: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(PRODUCTION | {misspelt: ""})

    assert str(caught.value) == f"{misspelt} is set, and there is no such setting. Did you mean {meant}?"


def test_others_variables_are_left_alone() -> None:
    strange = {"ATHENA_REPORT": "x", "AIRFLOW__CORE__PARALLELISM": "4", "athena_reports_env": "x"}

    assert read_settings(PRODUCTION | strange) == read_settings(PRODUCTION)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4566", "localhost", "s3://bucket", "http://"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"^AWS_ENDPOINT_URL is "):
        read_settings(PRODUCTION | {"AWS_ENDPOINT_URL": endpoint})


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        ("AES256", {"ServerSideEncryption": "AES256"}),
        (
            "arn:aws:kms:eu-west-1:012345678901:key/1",
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:012345678901:key/1"},
        ),
        ("alias/reports", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/reports"}),
    ],
)
def test_what_is_written_is_encrypted_as_the_setting_says(value: str, arguments: dict[str, str]) -> None:
    encryption = read_settings(LOCAL | {"ATHENA_REPORTS_ENCRYPTION": value}).encryption

    assert encryption is not None
    assert encryption.arguments == arguments
    assert read_settings(LOCAL).encryption is None
