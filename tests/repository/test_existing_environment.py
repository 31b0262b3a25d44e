"""What the page on an existing MWAA environment says is what the library and its stack do.

tests/services/test_permissions.py holds the policy and the endpoints against what was called,
and tests/unit/athena_reports_cli/mwaa/test_bundle.py runs the page's way to merge.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import botocore.session
import hcl2
import pytest
from airflow import plugins_manager
from airflow._shared.module_loading import find_path_from_directory
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from athena_reports.settings import read_settings
from athena_reports.workflows.dag_files import dag_files
from tests.support.code_blocks import Block, blocks_of
from tests.support.console import run_python
from tests.support.existing_environment import OF_MWAA, OF_REPORTS, PAGE, endpoints_below
from tests.support.paths import ROOT
from tests.support.stacks import REPORTS_TEMPLATE, TEMPLATE

LIBRARY = ROOT / "plugins" / "athena_reports"
POLICIES = ("reports-policy.json", "reports-policy-keys.json")


def block_of(language: str) -> Block:
    (block,) = [block for block in blocks_of(PAGE) if block.language == language]
    return block


def placeholders(policy: str) -> set[str]:
    text = REPORTS_TEMPLATE.with_name(policy).read_text(encoding="utf-8")
    return set(re.findall(r"\$\{(\w+)\}", text))


def names_of_the_policy() -> dict[str, str]:
    """The names that the page's Python fills in, without what it writes."""
    block = block_of("python")
    before_writing = block.text.partition("policy =")[0]
    defined: dict[str, Any] = {}
    run_python(Block(PAGE, block.line, "python", before_writing), defined)
    names: dict[str, str] = defined["names"]
    return names


# --- VPC endpoints


def services_of(file: Path) -> Iterator[str]:
    """The services of AWS that a module asks for: by a client, or by a hook of the provider."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.startswith("mypy_boto3_"):
                yield module.removeprefix("mypy_boto3_")
            if module.startswith("airflow.providers.amazon.aws."):
                for alias in node.names:
                    yield from service_of_hook(getattr(import_module(module), alias.name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in ("client", "create_client", "resource"):
                continue
            if file.name == "hook.py":  # makes the client that its callers name
                continue
            (service, *_) = node.args
            assert isinstance(service, ast.Constant), f"{file}:{node.lineno}: name the service here"
            yield service.value


def service_of_hook(imported: object) -> Iterator[str]:
    if isinstance(imported, type) and issubclass(imported, AwsGenericHook):
        hook: Any = imported(aws_conn_id=None)
        if hook.client_type:
            yield hook.client_type


def test_the_page_has_an_endpoint_for_each_service_that_the_code_asks_for() -> None:
    """test_permissions.py holds the list against the calls that it makes; here are all others."""
    services = {service for file in LIBRARY.rglob("*.py") for service in services_of(file)}
    session = botocore.session.get_session()
    endpoints = {session.get_service_model(service).endpoint_prefix for service in services}

    assert endpoints >= {"athena", "glue", "s3"}
    assert endpoints <= endpoints_below(OF_REPORTS)


def test_the_page_has_the_endpoints_of_mwaa_itself() -> None:
    """By MWAA's user guide; the policy that the guide asks for names the same services."""
    statements = TEMPLATE["Resources"]["MwaaPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    services = set()
    for statement in statements:
        if "Fn::If" in statement:
            statement = statement["Fn::If"][1]
        actions = statement["Action"]
        if isinstance(actions, str):
            actions = [actions]
        services |= {action.partition(":")[0] for action in actions}
    listed = endpoints_below(OF_MWAA)
    # CloudWatch is reached as `monitoring`, and MWAA by two endpoints.
    assert listed == services - {"airflow", "cloudwatch"} | {
        "monitoring",
        "airflow.api",
        "airflow.env",
    }


# --- the policy


def test_the_policy_is_filled_in_with_the_names_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    defined: dict[str, Any] = {}
    run_python(block_of("python"), defined)

    assert set(defined["names"]) == placeholders("reports-policy.json")
    text = (tmp_path / "policy.json").read_text(encoding="utf-8")
    assert "$" not in text
    policy = json.loads(text)
    (data,) = [
        statement["Resource"]
        for statement in policy["Statement"]
        if statement["Sid"] == "AthenaReadsSource"
    ]
    assert data == ["arn:aws:s3:::my-company-lake", "arn:aws:s3:::my-company-lake/*"]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_has_no_more_characters_than_iam_takes(policy: str) -> None:
    """A managed policy has at most 6,144, without white space; the names need some of them."""
    text = REPORTS_TEMPLATE.with_name(policy).read_text(encoding="utf-8")
    assert len("".join(text.split())) < 5000


def test_terraform_gives_the_policy_the_same_names() -> None:
    terraform = block_of("hcl").text
    (names,) = re.findall(r"names = \{\n(.*?)\n  \}", terraform, re.DOTALL)
    pairs = dict(re.findall(r'^    (\w+) += "(.*)"$', names, re.MULTILINE))
    assert pairs == names_of_the_policy()
    assert 'templatefile("${path.module}/reports-policy.json", local.names)' in terraform


# --- resources


AS_WRITTEN = hcl2.SerializationOptions(
    with_meta=False, strip_string_quotes=True, explicit_blocks=False
)


@pytest.mark.ci
def test_terraform_makes_what_the_stack_makes() -> None:
    made = {
        f"{kind}.{name}": properties
        for resource in hcl2.loads(block_of("hcl").text, serialization_options=AS_WRITTEN)[
            "resource"
        ]
        for kind, named in resource.items()
        for name, properties in named.items()
    }
    (workgroup,) = made["aws_athena_workgroup.reports"]["configuration"]
    stack = TEMPLATE["Resources"]["Workgroup"]["Properties"]["WorkGroupConfiguration"]
    (engine,) = workgroup["engine_version"]
    assert (
        flat(engine["selected_engine_version"]) == stack["EngineVersion"]["SelectedEngineVersion"]
    )
    assert (
        flat(workgroup["bytes_scanned_cutoff_per_query"])
        == (TEMPLATE["Parameters"]["ScanCutoffBytes"]["Default"])
    )
    assert flat(workgroup["enforce_workgroup_configuration"]) is True
    assert {
        "aws_s3_bucket.reports",
        "aws_s3_bucket_versioning.reports",
        "aws_s3_bucket.query_results",
        "aws_glue_catalog_database.reports",
        "aws_iam_policy.reports",
        "aws_iam_role_policy_attachment.reports",
    } < made.keys()
    (rule,) = made["aws_s3_bucket_lifecycle_configuration.query_results"]["rule"]
    (expiration,) = rule["expiration"]
    assert flat(expiration["days"]) == TEMPLATE["Parameters"]["QueryResultsDays"]["Default"]


def flat(value: Any) -> Any:
    """A value of HCL, which some versions of the parser put into a list."""
    return value[0] if isinstance(value, list) else value


def test_the_page_says_of_each_resource_of_the_stack_how_it_is_had() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("\n## Resources\n")[2].partition("\n### ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(TEMPLATE["Resources"])


def test_the_settings_of_the_page_are_enough(sql_folder: Path) -> None:
    pairs = [line.partition("=") for line in block_of("").text.splitlines()]
    names = {name: value for name, _, value in pairs}
    names |= {"ATHENA_REPORTS_ENV": "prd", "ATHENA_REPORTS_SQL_FOLDER": str(sql_folder)}
    settings = read_settings(names)
    filled = names_of_the_policy()
    assert filled["source_database"] == settings.database
    assert filled["workgroup"] == settings.workgroup
    assert filled["report_database"] == settings.report_database
    assert filled["report_bucket"] == settings.report_bucket
    assert f"s3://{filled['query_results_bucket']}/" == settings.query_results
    assert filled["account"] == settings.bucket_owner


# --- what may collide


def test_the_page_quotes_what_airflow_says_of_two_plugins_of_a_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (words,) = re.findall("`Plugin 'athena_reports' ([a-z, ]+)`", page)
    assert words in inspect.getsource(plugins_manager)


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
def test_what_the_page_writes_into_airflowignore_is_understood_by_both_syntaxes(
    syntax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX", syntax)
    for path in ("athena_reports_plugin.py", "athena_reports/page/app.py", "include/x/y.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (row,) = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if "`regexp`" in row]
    lines = re.findall(r"`(\w+/)`", row)
    assert lines == ["athena_reports/", "include/"]
    (tmp_path / ".airflowignore").write_text("\n".join(lines))
    found = find_path_from_directory(tmp_path, ".airflowignore", syntax)
    read = [Path(path).name for path in found]
    assert read == ["athena_reports_plugin.py"]
    assert dag_files(tmp_path) == [tmp_path / "athena_reports_plugin.py"]
