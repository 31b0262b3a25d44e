"""What the page on lineage types into the files of a project."""

from __future__ import annotations

import json
import shlex

import pytest
from airflow.providers.openlineage.get_provider_info import get_provider_info
from openlineage.client.transport import get_default_factory

from tests.support.code_blocks import blocks_of
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "lineage.md"
IMAGES = ROOT / "cli" / "athena_reports_cli" / "mwaa" / "images"
PREFIX = "AIRFLOW__OPENLINEAGE__"


@pytest.mark.parametrize("version", [file.name for file in IMAGES.glob("*-constraints.txt")])
def test_the_page_has_the_versions_of_each_image(version: str) -> None:
    constraints = (IMAGES / version).read_text(encoding="utf-8").splitlines()
    airflow = version.removesuffix("-constraints.txt")
    _, _, after = PAGE.read_text(encoding="utf-8").partition(f"For Airflow {airflow}:\n\n```\n")
    lines = after.partition("```")[0].splitlines()
    assert [line.partition("==")[0] for line in lines] == [
        "apache-airflow-providers-openlineage",
        "openlineage-python",
    ]
    assert set(lines) <= set(constraints)


def test_the_settings_of_the_page_are_those_of_the_provider() -> None:
    *_, script = blocks_of(PAGE)
    variables = dict(word.split("=", 1) for word in shlex.split(script.text) if word != "export")
    options = get_provider_info()["config"]["openlineage"]["options"]
    for name in variables:
        assert name.removeprefix(PREFIX).lower() in options
    transport = json.loads(variables[f"{PREFIX}TRANSPORT"])
    assert get_default_factory().create(transport).kind == transport["type"]
