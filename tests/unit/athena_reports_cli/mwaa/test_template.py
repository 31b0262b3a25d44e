"""What the execution role may do, and what the parameters of the stack take.

The sources are the pages of the documentation and AWS's user guides, as each test says.
"""

from __future__ import annotations

import json
import re
from string import Template
from typing import Any

import pytest

from tests.support.stacks import REPORTS_TEMPLATE
from tests.unit.athena_reports_cli.mwaa.template import (
    ALL,
    KEY,
    LEAST,
    NETWORK,
    TEMPLATE,
    THERE,
    as_list,
    rendered_resources,
)

PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
# "Amazon MWAA execution role" in the user guide of Amazon MWAA: its example policy, and that of an
# environment with a key of one's own. Each action with the resource that it is granted on.
USER_GUIDE = {
    "airflow:PublishMetrics": "arn:{partition}:airflow:{here}:environment/{name}",
    **dict.fromkeys(("s3:GetObject*", "s3:GetBucket*", "s3:List*"), "{bucket} {bucket}/*"),
    **dict.fromkeys(
        (
            *("logs:CreateLogStream", "logs:CreateLogGroup", "logs:PutLogEvents"),
            *("logs:GetLogEvents", "logs:GetLogRecord", "logs:GetLogGroupFields"),
            "logs:GetQueryResults",
        ),
        "arn:{partition}:logs:{here}:log-group:airflow-{name}-*",
    ),
    "logs:DescribeLogGroups": "*",
    "s3:GetAccountPublicAccessBlock": "*",
    "cloudwatch:PutMetricData": "*",
    **dict.fromkeys(
        (
            *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage"),
        ),
        "arn:{partition}:sqs:{region}:*:airflow-celery-*",
    ),
}
KMS_ACTIONS = {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:Encrypt"}


# --- Permissions

CASES = pytest.mark.parametrize("parameters", [LEAST | NETWORK, ALL], ids=["least", "all"])
# The names that the policies and the user guide leave open, in the rendered template.
NAMES = {
    "partition": THERE["AWS::Partition"],
    "region": THERE["AWS::Region"],
    "account": THERE["AWS::AccountId"],
}


def statements_of(policy: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
    properties = rendered_resources(**parameters)[policy]["Properties"]
    statements: list[dict[str, Any]] = properties["PolicyDocument"]["Statement"]
    return statements


@CASES
def test_the_role_has_what_the_user_guide_of_mwaa_gives_it_and_no_more(
    parameters: dict[str, str],
) -> None:
    name = parameters.get("MwaaEnvironmentName", "athena-reports-dev")
    bucket = "arn:{partition}:s3:::{{MwaaBucket}}".format(**NAMES)
    names = NAMES | {"name": name, "bucket": bucket}
    names["here"] = "{region}:{account}".format(**NAMES)
    expected = {action: place.format(**names) for action, place in USER_GUIDE.items()}
    granted = {}
    of_keys = []
    denied = []
    for statement in statements_of("MwaaPolicy", parameters):
        actions = as_list(statement["Action"])
        if statement["Effect"] == "Deny":
            denied.append((actions, statement["Resource"]))
        elif actions[0].startswith("kms:"):
            of_keys.append(statement)
        else:
            assert statement["Effect"] == "Allow"
            assert set(statement) == {"Sid", "Effect", "Action", "Resource"}
            granted |= dict.fromkeys(actions, " ".join(as_list(statement["Resource"])))
    assert granted == expected
    assert denied == [(["s3:ListAllMyBuckets"], "*")]

    through_sqs = "sqs.{region}.amazonaws.com".format(**NAMES)
    # The key of MWAA's own queue is in an account that nobody is told.
    expected_of_keys = [
        {
            "NotResource": "arn:{partition}:kms:*:{account}:key/*".format(**NAMES),
            "Condition": {"StringLike": {"kms:ViaService": through_sqs}},
        }
    ]
    if "KmsKeyArn" in parameters:
        services = ["s3.{region}.amazonaws.com".format(**NAMES), through_sqs]
        expected_of_keys.append(
            {
                "Resource": parameters["KmsKeyArn"],
                "Condition": {"StringLike": {"kms:ViaService": services}},
            }
        )
    for statement in of_keys:
        assert statement.pop("Effect") == "Allow"
        assert set(statement.pop("Action")) == KMS_ACTIONS
        del statement["Sid"]
    assert of_keys == expected_of_keys


@CASES
def test_the_policies_for_another_role_grant_what_the_stack_grants(
    parameters: dict[str, str],
) -> None:
    """They are filled in as docs/how-to/existing-environment.md does it."""
    names = NAMES | {
        "environment": parameters["Environment"],
        "workgroup": "{Workgroup}",
        "source_database": parameters.get("SourceDatabase", "database_dev"),
        "report_database": "{ReportDatabase}",
        "source_bucket": "lake",
        "report_bucket": "{ReportBucket}",
        "query_results_bucket": "{QueryResultsBucket}",
        "alert_topic": "{topic}",
    }
    files = ["reports-policy.json"]
    if "KmsKeyArn" in parameters:
        files.append("reports-policy-keys.json")
        names["kms_key_arn"] = parameters["KmsKeyArn"]
        names["former_kms_key_arn"] = parameters["FormerKmsKeyArns"]
        names["source_kms_key_arn"] = parameters["SourceKmsKeyArn"]
    # A reference to a topic is its ARN.
    topic = "arn:{partition}:sns:{region}:{account}:{{topic}}".format(**NAMES)
    filled = {}
    for file in files:
        text = Template(REPORTS_TEMPLATE.with_name(file).read_text()).substitute(names)
        policy = json.loads(text.replace(topic, "{AlertTopic}"))
        assert policy["Version"] == "2012-10-17"
        filled |= {statement["Sid"]: listed(statement) for statement in policy["Statement"]}
    granted = {}
    for statement in statements_of("ReportsPolicy", parameters):
        granted[statement["Sid"]] = listed(statement)
    assert granted == filled


@pytest.mark.parametrize(
    ("parameter", "added"),
    [
        ("KmsKeyArn", {"EncryptAlerts", "EncryptBuckets", "UseOwnKey"}),
        ("FormerKmsKeyArns", {"DecryptFormerly"}),
        ("SourceKmsKeyArn", {"DecryptSource"}),
    ],
)
def test_a_key_adds_the_statements_on_it_and_no_others(parameter: str, added: set[str]) -> None:
    def statements(parameters: dict[str, str]) -> dict[str, Any]:
        both = [
            *statements_of("ReportsPolicy", parameters),
            *statements_of("MwaaPolicy", parameters),
        ]
        assert len({statement["Sid"] for statement in both}) == len(both)
        return {statement["Sid"]: statement for statement in both}

    without = statements(LEAST)
    keys = [KEY]
    if parameter.endswith("s"):
        keys.append(f"{KEY[:-1]}2")
    with_key = statements(LEAST | {parameter: ",".join(keys)})
    assert with_key.keys() - without.keys() == added
    for sid, statement in with_key.items():
        if sid in added:
            assert as_list(statement["Resource"]) == keys
        else:
            assert statement == without[sid]


def listed(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement whose actions and resources are lists, whatever one of them is written as."""
    lists = {name: sorted(as_list(statement[name])) for name in ("Action", "Resource")}
    return statement | lists


# --- Parameters


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [
        ("Environment", ["dev", "a" * 15, "s2"], ["", "Dev", "2s", "a" * 16, "a-b"]),
        ("SourceDatabase", ["", "lake_1-a"], ["Lake", "a b"]),
        ("SourceKmsKeyArn", ["", KEY], ["alias/key", f"{KEY} ", KEY.replace("key/", "alias/")]),
        ("KmsKeyArn", ["", KEY], ["alias/key", f"{KEY} ", KEY.replace("key/", "alias/")]),
        ("MwaaEnvironmentName", ["", "A_b-1", "a" * 80], ["1a", "-a", "a" * 81, "a b"]),
        ("AlertEmail", ["", "a+b@example.com"], ["a", "a@", "a@b@c", "a b@example.com"]),
        ("MaintenanceStart", ["MON:00:00", "SUN:23:30"], ["mon:00:00", "MON:24:00", "MON:12:15"]),
    ],
)
def test_a_wrong_value_of_a_parameter_is_refused(
    parameter: str, taken: list[str], refused: list[str]
) -> None:
    pattern = PARAMETERS[parameter]["AllowedPattern"]
    assert [value for value in taken if not re.fullmatch(pattern, value)] == []
    assert [value for value in refused if re.fullmatch(pattern, value)] == []


def test_numbers_and_choices_of_parameters_have_the_limits_of_aws() -> None:
    least = {name: each["MinValue"] for name, each in PARAMETERS.items() if "MinValue" in each}
    # 10 MB is Athena's least cutoff (CreateWorkGroup in its API reference).
    of_one = ("QueryResultsDays", "NoncurrentDays", "MinWorkers", "MaxWorkers")
    assert least == dict.fromkeys((*of_one, "ScanAlarmBytesPerDay"), 1) | {
        "ScanCutoffBytes": 10_000_000
    }
    defaults = {name: PARAMETERS[name]["Default"] for name in least}
    assert all(defaults[name] >= least[name] for name in least)
    assert defaults["MinWorkers"] <= defaults["MaxWorkers"]
    choices = {name: p["AllowedValues"] for name, p in PARAMETERS.items() if "AllowedValues" in p}
    sizes = ("small", "medium", "large", "xlarge", "2xlarge")
    assert choices == {
        "CreateSourceDatabase": ["true", "false"],
        "EnvironmentClass": [f"mw1.{size}" for size in sizes],
        "WebserverAccessMode": ["PRIVATE_ONLY", "PUBLIC_ONLY"],
    }


def test_each_parameter_has_an_effect() -> None:
    rest = str({name: part for name, part in TEMPLATE.items() if name != "Parameters"})
    assert [name for name in PARAMETERS if not re.search(rf"\b{name}\b", rest)] == []
