"""What a policy grants against what was used, and the documented list of both.

Policies are judged as IAM does (user guide, "Policy evaluation logic", for the policies of one principal): a
request is allowed if a statement allows it and none denies it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

TEMPLATE = "deploy/stack/reports.yaml"
DOCUMENT = "docs/permissions.md"


@dataclass(frozen=True, order=True)
class Use:
    """An action that was done.

    Attributes:
        action: IAM action, such as `s3:GetObject`.
        resource: ARN.
        via_athena: Whether Athena did it for a query.
    """

    action: str
    resource: str
    via_athena: bool = False

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}{' by Athena' if self.via_athena else ''}"

    @property
    def context(self) -> dict[str, list[str]]:
        """Condition keys of the request; a key that is not here is not in it."""
        return {"aws:calledvia": ["athena.amazonaws.com"]} if self.via_athena else {}


@dataclass(frozen=True)
class Statement:
    """A statement of a policy."""

    sid: str
    effect: str
    actions: Sequence[str]
    resources: Sequence[str]
    not_resources: Sequence[str]
    condition: Mapping[str, Mapping[str, Any]]

    @classmethod
    def all_of(cls, policy: Mapping[str, Any]) -> list[Statement]:
        """The statements of a policy document."""
        return [
            cls(
                statement["Sid"],
                statement["Effect"],
                _listed(statement["Action"]),
                _listed(statement.get("Resource", [])),
                _listed(statement.get("NotResource", [])),
                statement.get("Condition", {}),
            )
            for statement in policy["Statement"]
        ]

    def applies_to(self, use: Use) -> bool:
        """Whether it says something about a use."""
        resources = self.resources or self.not_resources
        return (
            any(_matches(action.lower(), use.action.lower()) for action in self.actions)
            and any(_matches(resource, use.resource) for resource in resources) is bool(self.resources)
            and all(_holds(operator, wanted, use) for operator, wanted in self.condition.items())
        )


def is_allowed(use: Use, statements: Iterable[Statement]) -> bool:
    """Whether IAM allows a use."""
    effects = {statement.effect for statement in statements if statement.applies_to(use)}
    return effects == {"Allow"}


def grants(statements: Iterable[Statement]) -> set[tuple[str, str]]:
    """The Sid and the action of everything that is allowed."""
    return {(each.sid, action) for each in statements if each.effect == "Allow" for action in each.actions}


def compare(uses: Iterable[Use], statements: Sequence[Statement], unseen: Mapping[tuple[str, str], str]) -> list[str]:
    """What is used and not granted, and what is granted and not used; empty if that is nothing.

    Args:
        uses: What was done.
        statements: The policy.
        unseen: Why nobody sees an action used, by the Sid and the action.
    """
    uses = sorted(set(uses))
    problems = []
    denied: dict[str, list[Use]] = {}
    for use in uses:
        if not is_allowed(use, statements):
            denied.setdefault(use.action, []).append(use)
    for some in denied.values():
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        problems.append(
            f"{some[0]}{more} is used and not granted. If the code is right, grant it in ReportsPolicy of "
            f"{TEMPLATE} and list it in {DOCUMENT}; else take the call out of the code."
        )
    for statement in statements:
        if statement.effect == "Allow":
            for action in statement.actions:
                problems += _superfluous(statement, action, uses, unseen.get((statement.sid, action)))
    for sid, action in sorted(unseen.keys() - grants(statements)):
        problems.append(f"{DOCUMENT} excuses {action} of {sid}, which {TEMPLATE} does not grant. Remove it.")
    return problems


def documented(text: str, heading: str) -> dict[tuple[str, str], str]:
    """The rows `| Sid | action | why |` below a heading: the Sid and the action, and why."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{DOCUMENT} has no section {heading!r}"
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+:[\w*]+)` \| (.+?) \|$", section[1], re.MULTILINE)
    return {(sid, action): why for sid, action, why in rows}


def read_document(repository: Path) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """What the documentation says is used, and what it says is not seen here."""
    text = (repository / DOCUMENT).read_text()
    return documented(text, "What is used"), documented(text, "What no local run shows")


def _superfluous(statement: Statement, action: str, uses: Sequence[Use], unseen: str | None) -> Iterable[str]:
    about = f"{action} of {statement.sid}"
    if "*" in action or "?" in action:
        yield f"{about} is a wildcard. Grant in {TEMPLATE} the actions that are used, each by its name."
        return
    of_action = [use for use in uses if use.action == action and statement.applies_to(use)]
    if unseen is not None:
        if of_action:
            yield f"{about} is used ({of_action[0]}), and {DOCUMENT} says that nobody sees it. Move it there."
        return
    for resource in statement.resources:
        if _takes(action, resource) and not any(_matches(resource, use.resource) for use in of_action):
            yield (
                f"{about} is granted on {resource} and never used there. Remove it from ReportsPolicy of "
                f"{TEMPLATE}, or say in {DOCUMENT} why no run shows it."
            )


def _holds(operator: str, wanted: Mapping[str, Any], use: Use) -> bool:
    """Whether a condition holds; only what the template uses is known, so that nothing is misread."""
    if operator.removeprefix("ForAnyValue:") not in ("StringEquals", "StringLike"):
        raise ValueError(f"The condition operator {operator} is not known here. Teach it to {__name__}.")
    return all(
        any(_matches(pattern, value) for pattern in _listed(patterns) for value in use.context.get(key.lower(), []))
        for key, patterns in wanted.items()
    )


def _takes(action: str, resource: str) -> bool:
    """Whether an action can be done to a resource: those of S3 are about objects or about buckets."""
    if not action.startswith("s3:"):
        return True
    return ("object" in _resource_types(action)) == ("/" in resource)


@cache
def _resource_types(action: str) -> Sequence[str]:
    """What an action takes, by the policy specification that cfn-lint carries."""
    service, _, name = action.partition(":")
    text = files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text()
    types: Sequence[str] = json.loads(text)[service]["Actions"][name.lower()]["Resources"]
    return types


def _matches(pattern: str, value: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)
