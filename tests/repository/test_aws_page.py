"""docs/reference/aws.md against botocore's service models and against the library's code."""

import re
from importlib import import_module
from typing import Any, get_args

import botocore.session
import pytest
from botocore import xform_name

from athena_reports.aws.errors import ErrorKind
from athena_reports.queries.execution import QueryExecution, QueryState
from athena_reports.queries.failures import _KINDS_BY_TYPE, may_pass
from athena_reports.settings import Encryption
from athena_reports.steps.run_query import _ENCRYPTION_OPTIONS
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "reference" / "aws.md").read_text(encoding="utf-8")
SESSION = botocore.session.get_session()


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def shape(name: str) -> Any:
    service, _, shape_name = name.partition(".")
    return SESSION.get_service_model(service).shape_for(shape_name)


@pytest.mark.parametrize("row", rows("Limits"), ids=lambda row: row[0])
def test_a_limit_is_that_of_the_code_and_of_the_model(row: list[str]) -> None:
    _, value, place, source = row
    module, _, constant = in_code(place)[0].rpartition(".")
    assert int(value) == getattr(import_module(f"athena_reports.{module}"), constant)
    if source.startswith("model: "):
        assert int(value) == shape(in_code(source)[0]).metadata["max"]


def test_the_values_are_those_of_the_models_and_of_the_code() -> None:
    states, options, algorithms = (set(in_code(row[0])) for row in rows("Values"))
    assert states == set(QueryState) == set(shape("athena.QueryExecutionState").enum)
    assert options == set(_ENCRYPTION_OPTIONS.values()) < set(shape("athena.EncryptionOption").enum)
    declared = set(get_args(Encryption.model_fields["algorithm"].annotation))
    assert algorithms == declared < set(shape("s3.ServerSideEncryption").enum)


def test_a_token_has_a_length_that_athena_takes() -> None:
    limits = shape("athena.IdempotencyToken").metadata
    assert limits["min"] <= 64 <= limits["max"]


def test_the_page_lists_each_operation_that_the_code_names() -> None:
    operations = {}
    for service in ("athena", "glue", "s3"):
        for name in SESSION.get_service_model(service).operation_names:
            operations[xform_name(name)] = name
    code = "\n".join(file.read_text() for file in (ROOT / "plugins").rglob("*.py"))
    # A client's method, or a paginator's name; a hook asks Airflow for its connection.
    named = re.findall(r"(?<!hook|Hook|self)(?<!super\(\))\.(\w+)|[\"'](\w+)[\"']", code)
    used = {operations[name] for names in named for name in names if name in operations}
    assert used == set(in_code(section("Operations")))


def test_the_page_lists_each_error_code_of_the_code_with_its_source() -> None:
    listed = []
    for codes, source in rows("Error codes"):
        names = in_code(codes)
        listed += names
        if source.startswith("model: "):
            errors = SESSION.get_service_model(in_code(source)[0]).error_shapes
            assert set(names) <= {error.name for error in errors}
    assert sorted(listed) == sorted(code for kind in ErrorKind for code in kind.codes)


def test_the_page_lists_each_type_of_failure_that_the_code_knows() -> None:
    listed = set()
    for types, _, passes in rows("Types of failed queries"):
        first, _, last = types.partition(" to ")
        numbers = range(int(first), int(last) + 1) if last else map(int, types.split(", "))
        for number in numbers:
            listed.add(number)
            execution = QueryExecution(id="q-1", state=QueryState.FAILED, error_type=number)
            assert may_pass(execution) is (passes == "yes")
    assert listed == {*_KINDS_BY_TYPE, 233}
