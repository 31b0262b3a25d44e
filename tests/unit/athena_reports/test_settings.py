import subprocess
import sys
from pathlib import Path

import pytest

from athena_reports.errors import SettingsError
from athena_reports.settings import Settings, find_sql_folder, read_settings, settings
from tests.support import deployment
from tests.support.paths import ROOT

LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
PRODUCTION = {
    "ATHENA_REPORTS_ENV": "prd",
    "ATHENA_REPORTS_QUERY_RESULTS": "s3://acme-results/athena/",
    "ATHENA_REPORTS_BUCKET": "acme-reports",
}
NAME = "a name of letters, digits, '_', '-' and '.'"
# What an error says that a variable may be.
EXPECTED = {
    "ENV": "the environment's name, such as prd: up to 15 lower-case letters and digits",
    "DATABASE": NAME,
    "WORKGROUP": NAME,
    "QUERY_RESULTS": "an S3 location, such as s3://my-results/reports/, or 'managed'",
    "BUCKET": "a bucket name, such as my-company-reports-prd",
    "REPORT_DATABASE": NAME,
    "BUCKET_OWNER": "a 12-digit account id",
    "ENCRYPTION": "AES256, the ARN, id or alias of a KMS key, or aws:kms:dsse:<key>",
    "POOL": "the name of an Airflow pool",
    "MEMORY_LIMIT": "an amount of memory, such as 256MB",
    "RECIPIENTS": "mail domains and Slack channels, such as example.com,#sales",
    "AWS_CONN_ID": "an Airflow connection id",
    "SQL_FOLDER": "an existing folder that contains the SQL files",
    "PAUSED": "true or false",
    "CATCHUP": "true or false",
    "DEFERRABLE": "true or false",
}


def local(variable: str, value: str) -> Settings:
    return read_settings(LOCAL | {f"ATHENA_REPORTS_{variable}": value})


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_the_names_of_an_environment_follow_from_it(environment: str) -> None:
    names = local("ENV", environment)

    assert (names.environment, names.workgroup) == (environment, environment)
    assert (names.database, names.report_database) == (
        f"database_{environment}",
        f"report_{environment}",
    )
    assert names.query_results == f"s3://athena-query-result-{environment}/"
    assert names.report_bucket == f"athena-report-{environment}"


def test_recipients_are_domains_and_channels_in_any_case() -> None:
    recipients = local("RECIPIENTS", " Example.com,#Sales , C0123456,a.b.co ").recipients
    assert recipients == {"example.com", "#sales", "c0123456", "a.b.co"}
    ids = {"c0123456", "d0123456", "g0123456"}  # of channels, of direct messages and of groups
    assert local("RECIPIENTS", ",".join(ids).upper()).recipients == ids
    assert local("RECIPIENTS", "").recipients == frozenset()


def test_all_variables_that_are_missing_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"ATHENA_REPORTS_POOL": "my pool"})
    lines = str(caught.value).splitlines()
    names = ["ENV", "QUERY_RESULTS", "BUCKET"]
    missing = [f"ATHENA_REPORTS_{name} is not set. Set it to {EXPECTED[name]}." for name in names]
    assert set(missing) < set(lines)
    assert any(line.startswith("ATHENA_REPORTS_POOL is 'my pool'. ") for line in lines)
    with pytest.raises(SettingsError, match="ATHENA_REPORTS_BUCKET is not set"):
        read_settings({"ATHENA_REPORTS_ENV": "prd"})  # another account may own a default name


@pytest.mark.parametrize(
    ("variable", "value", "meant"),
    [
        ("DATABASE", "lake", "lake"),
        ("WORKGROUP", "reports-wg", "reports-wg"),
        ("POOL", "athena_prd", "athena_prd"),
        ("QUERY_RESULTS", "s3://acme/", "s3://acme/"),
        ("QUERY_RESULTS", "managed", None),
        ("REPORT_DATABASE", "reports", "reports"),
        ("BUCKET_OWNER", "012345678901", "012345678901"),
        *(
            ("MEMORY_LIMIT", amount, amount)
            for amount in ("1.5 GB", "900KB", "1024 KiB", "256MiB", "2TB")
        ),
        ("AWS_CONN_ID", "aws_reports", "aws_reports"),
        *((name, text, True) for name in ("PAUSED", "CATCHUP") for text in ("true", "True", "1")),
        *(("DEFERRABLE", text, False) for text in ("false", "0")),
    ],
)
def test_each_name_can_be_overridden_alone(variable: str, value: str, meant: object) -> None:
    default, changed = read_settings(LOCAL), local(variable, value)
    differing = {name for name in dict(default) if getattr(default, name) != getattr(changed, name)}
    assert {name: getattr(changed, name) for name in differing} == {variable.lower(): meant}
    assert local(variable, "") == default


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("ENV", value) for value in ("Production", "dev\n", "a" * 16, "st-g", "1st")),
        ("DATABASE", "my database"),
        ("DATABASE", "d" * 129),
        ("BUCKET", "b" * 64),
        ("WORKGROUP", "a b"),
        ("REPORT_DATABASE", "my reports"),
        ("BUCKET_OWNER", "12345"),
        *(("ENCRYPTION", value) for value in ("AES-256", "aws:kms", "alias/", "mrk-1", "x" * 36)),
        *(
            ("RECIPIENTS", value)
            for value in ("example", "a@example.com", "example.com;#sales", "example.com,", "#a b")
        ),
        *((name, "maybe") for name in ("PAUSED", "CATCHUP")),
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
def test_a_wrong_value_is_refused_with_the_variable_and_the_value(
    variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        local(variable, value)
    lines = str(caught.value).splitlines()
    assert f"ATHENA_REPORTS_{variable} is {value!r}. Set it to {EXPECTED[variable]}." in lines


@pytest.mark.parametrize(
    ("present", "found"),
    [
        # A bundle may name a folder inside of its clone as that of the DAG files.
        (["include/sql"], "include/sql"),
        (["dags/include/sql"], "dags/include/sql"),
        (["include/sql", "dags/include/sql"], "dags/include/sql"),
        (["include/sql", "dags/team/include/sql"], "dags/team/include/sql"),
    ],
)
def test_the_sql_folder_is_the_nearest_above_the_file(
    tmp_path: Path, present: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in present:
        (tmp_path / folder).mkdir(parents=True)
    file = tmp_path / "dags" / "team" / "scores.py"
    assert find_sql_folder(file) == tmp_path / found
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(tmp_path))
    settings.cache_clear()
    assert find_sql_folder(file) == tmp_path


@pytest.mark.ci
def test_another_file_takes_the_sql_folder_beside_airflows_dags_folder(tmp_path: Path) -> None:
    """Such as a module of the plugins folder. Settings are read without a folder too."""
    sql = tmp_path / "reports" / "include" / "sql"
    home = tmp_path / "home"
    home.mkdir()
    (home / "airflow.cfg").write_text(f"[core]\ndags_folder = {tmp_path / 'reports' / 'dags'}\n")
    program = (
        "from pathlib import Path; from athena_reports.settings import find_sql_folder\n"
        f"file = Path({str(tmp_path / 'plugins' / 'scores.py')!r}); print(find_sql_folder(file))\n"
        f"Path({str(sql)!r}).mkdir(parents=True); print(find_sql_folder(file))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=LOCAL | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, [str(sql)] * 2), done.stderr


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("ATHENA_REPORTS_BUKET", "ATHENA_REPORTS_BUCKET"),
        ("ATHENA_REPORTS_CONN_ID", "ATHENA_REPORTS_AWS_CONN_ID"),
        ("ATHENA_REPORTS_ENVIRONMENT", "ATHENA_REPORTS_ENV"),
        ("ATHENA_REPORTS_deferrable", "ATHENA_REPORTS_DEFERRABLE"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused_with_the_one_meant(
    misspelt: str, meant: str
) -> None:
    strange = {"ATHENA_REPORT": "x", "AIRFLOW__CORE__PARALLELISM": "4", "athena_reports_env": "x"}
    assert read_settings(PRODUCTION | strange) == read_settings(PRODUCTION)

    with pytest.raises(SettingsError) as caught:
        read_settings(PRODUCTION | {misspelt: "x"})
    assert str(caught.value) == f"{misspelt} is not a setting. Did you mean {meant}?"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://localhost:4566"])
def test_an_endpoint_gives_the_names_that_aws_has_no_default_for(endpoint: str) -> None:
    assert read_settings({"AWS_ENDPOINT_URL": endpoint}).report_bucket == "athena-report-dev"


@pytest.mark.parametrize("endpoint", ["here", "127.0.0.1:4566", "ftp://127.0.0.1", "http:///x"])
def test_an_endpoint_that_is_no_url_is_rejected(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=f"AWS_ENDPOINT_URL is {endpoint!r}. Set it to a URL"):
        read_settings({"AWS_ENDPOINT_URL": endpoint})


KEY = "arn:aws:kms:eu-west-1:012345678901:key/1"


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        ("AES256", {"ServerSideEncryption": "AES256"}),
        (KEY, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}),
        ("aws:kms:dsse", {"ServerSideEncryption": "aws:kms:dsse"}),
        (f"aws:kms:dsse:{KEY}", {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": KEY}),
        *(
            (key, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key})
            for key in (
                "alias/reports",
                "1234abcd-12ab-34cd-56ef-1234567890ab",
                "mrk-1234abcd12ab34cd56ef1234567890ab",
            )
        ),
    ],
)
def test_what_is_written_is_encrypted_as_the_setting_says(
    value: str, arguments: dict[str, str]
) -> None:
    encryption = local("ENCRYPTION", value).encryption
    assert encryption is not None
    assert encryption.arguments == arguments


def test_the_deployment_of_the_tests_has_each_setting_and_none_that_is_a_default(
    sql_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a task without a setting, or with its neighbour's, would look as one that has it."""
    own = dict(deployment.own_deployment(monkeypatch))
    defaults = dict(read_settings(LOCAL | {"ATHENA_REPORTS_SQL_FOLDER": str(sql_folder)}))
    assert own.pop("sql_folder") == sql_folder
    assert {name for name, value in own.items() if value == defaults[name]} == set()
    texts = [*deployment.VARIABLES.values()]
    assert len(texts) == len(own)
    assert [text for text in set(texts) if texts.count(text) > 1] == ["true"]
