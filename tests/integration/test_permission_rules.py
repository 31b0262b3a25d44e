"""The comparison of grants and uses: what it must notice, and what it must let pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.permissions import Statement, Use, compare, documented, is_allowed

REPORTS = "arn:aws:s3:::reports"
CATALOG = "arn:aws:glue:us-east-1:123456789012:"
THROUGH_ATHENA = {"ForAnyValue:StringEquals": {"aws:CalledVia": "athena.amazonaws.com"}}


def policy(*statements: dict[str, Any]) -> list[Statement]:
    return Statement.all_of({"Statement": [{"Effect": "Allow", **each} for each in statements]})


PUBLISH = {"Sid": "Publish", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{REPORTS}/*"}
LIST = {"Sid": "List", "Action": "s3:ListBucket", "Resource": REPORTS}
WRITE = {"Sid": "Write", "Action": "s3:PutObject", "Resource": f"{REPORTS}/*", "Condition": THROUGH_ATHENA}
FIND = {"Sid": "Find", "Action": ["glue:GetTable"], "Resource": [f"{CATALOG}catalog", f"{CATALOG}table/db/*"]}
USES = {
    Use("s3:GetObject", f"{REPORTS}/a"),
    Use("s3:PutObject", f"{REPORTS}/a"),
    Use("s3:ListBucket", REPORTS),
}


def test_what_is_granted_and_used_is_no_problem() -> None:
    assert compare(USES, policy(PUBLISH, LIST), {}) == []


def test_an_action_in_the_code_alone_is_named_with_its_resource_and_what_to_do() -> None:
    tagging = Use("s3:PutObjectTagging", f"{REPORTS}/a")
    assert compare({*USES, tagging, Use("s3:PutObjectTagging", f"{REPORTS}/b")}, policy(PUBLISH, LIST), {}) == [
        "s3:PutObjectTagging on arn:aws:s3:::reports/a (and 1 more) is used and not granted. If the code is "
        "right, grant it in ReportsPolicy of deploy/stack/reports.yaml and list it in docs/permissions.md; "
        "else take the call out of the code."
    ]


def test_an_action_in_the_policy_alone_is_named_with_its_resource_and_what_to_do() -> None:
    wider = {**PUBLISH, "Action": [*PUBLISH["Action"], "s3:PutObjectTagging"]}
    assert compare(USES, policy(wider, LIST), {}) == [
        "s3:PutObjectTagging of Publish is granted on arn:aws:s3:::reports/* and never used there. Remove it "
        "from ReportsPolicy of deploy/stack/reports.yaml, or say in docs/permissions.md why no run shows it."
    ]


def test_an_action_is_not_granted_on_another_resource() -> None:
    (problem,) = compare({*USES, Use("s3:GetObject", "arn:aws:s3:::lake/a")}, policy(PUBLISH, LIST), {})
    assert problem.startswith("s3:GetObject on arn:aws:s3:::lake/a is used and not granted.")


def test_each_resource_of_a_grant_must_be_used() -> None:
    table = Use("glue:GetTable", f"{CATALOG}table/db/plays")
    (problem,) = compare({*USES, table}, policy(PUBLISH, LIST, FIND), {})
    assert problem.startswith(f"glue:GetTable of Find is granted on {CATALOG}catalog and never used there.")
    assert compare({*USES, table, Use("glue:GetTable", f"{CATALOG}catalog")}, policy(PUBLISH, LIST, FIND), {}) == []


def test_a_bucket_in_the_resources_of_objects_actions_is_nothing_to_use() -> None:
    both = {
        "Sid": "Both",
        "Action": [*PUBLISH["Action"], "s3:ListBucket"],
        "Resource": [REPORTS, f"{REPORTS}/*"],
    }
    assert compare(USES, policy(both), {}) == []


def test_a_wildcard_in_an_action_hides_what_is_not_used() -> None:
    (problem,) = compare(USES, policy(PUBLISH, {**LIST, "Action": "s3:List*"}), {})
    assert problem.startswith("s3:List* of List is a wildcard.")


def test_what_only_athena_may_do_is_not_the_codes_to_do() -> None:
    read = {**PUBLISH, "Action": "s3:GetObject"}
    (problem, unused) = compare(USES, policy(read, LIST, WRITE), {})
    assert problem.startswith("s3:PutObject on arn:aws:s3:::reports/a is used and not granted.")
    assert unused.startswith("s3:PutObject of Write is granted")
    athenas = {use for use in USES if use.action != "s3:PutObject"} | {Use("s3:PutObject", f"{REPORTS}/a", True)}
    assert compare(athenas, policy(read, LIST, WRITE), {}) == []


def test_an_excuse_is_for_what_is_granted_and_not_seen() -> None:
    statements = policy(PUBLISH, LIST, WRITE)
    assert compare(USES, statements, {("Write", "s3:PutObject"): "large results"}) == []
    (seen,) = compare({*USES, Use("s3:PutObject", f"{REPORTS}/b", True)}, statements, {("Write", "s3:PutObject"): "-"})
    assert "says that nobody sees it" in seen
    (stale,) = compare(USES, policy(PUBLISH, LIST), {("Write", "s3:PutObject"): "large results"})
    assert stale.startswith("docs/permissions.md excuses s3:PutObject of Write")


GET = "s3:GetObject"
IN_S3 = {"StringLike": {"kms:ViaService": "s3.*"}}
OTHER_KEYS = {"Action": "kms:Decrypt", "NotResource": "arn:aws:kms:*:key/a"}


@pytest.mark.parametrize(
    ("statement", "use", "allowed"),
    [
        ({"Action": "s3:get*", "Resource": "*"}, Use(GET, f"{REPORTS}/a"), True),
        ({"Action": GET, "Resource": f"{REPORTS}/?"}, Use(GET, f"{REPORTS}/a"), True),
        ({"Action": GET, "Resource": f"{REPORTS}/?"}, Use(GET, f"{REPORTS}/ab"), False),
        # A name is no regular expression: its dot is a dot.
        ({"Action": GET, "Resource": "arn:aws:s3:::a.b/*"}, Use(GET, "arn:aws:s3:::aXb/c"), False),
        (OTHER_KEYS, Use("kms:Decrypt", "arn:aws:kms:us-east-1:key/a"), False),
        (OTHER_KEYS, Use("kms:Decrypt", "arn:aws:kms:us-east-1:key/b"), True),
        ({"Action": GET, "Resource": "*", "Condition": IN_S3}, Use(GET, f"{REPORTS}/a"), False),
    ],
)
def test_a_statement_is_read_as_iam_reads_it(statement: dict[str, Any], use: Use, allowed: bool) -> None:
    assert is_allowed(use, policy({"Sid": "One", **statement})) is allowed


def test_a_denial_outweighs_every_grant() -> None:
    deny = {"Sid": "No", "Effect": "Deny", "Action": "s3:*", "Resource": f"{REPORTS}/secret/*"}
    statements = policy(PUBLISH, deny)
    assert is_allowed(Use("s3:GetObject", f"{REPORTS}/a"), statements)
    assert not is_allowed(Use("s3:GetObject", f"{REPORTS}/secret/a"), statements)


def test_a_condition_that_is_not_known_is_an_error_rather_than_a_guess() -> None:
    statements = policy({**LIST, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
    with pytest.raises(ValueError, match="IpAddress is not known"):
        is_allowed(Use("s3:ListBucket", REPORTS), statements)


def test_the_tables_of_the_documentation_are_read_by_their_sections() -> None:
    text = """# A

## One

| statement | action | for |
| --- | --- | --- |
| `S` | `s3:GetObject` | read |

## Two

| `T` | `kms:Decrypt` | decrypt |
"""
    assert documented(text, "One") == {("S", "s3:GetObject"): "read"}
    assert documented(text, "Two") == {("T", "kms:Decrypt"): "decrypt"}
