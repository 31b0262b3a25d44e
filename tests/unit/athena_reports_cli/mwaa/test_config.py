"""Where an environment is deployed to, as the file of the SAM CLI says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.project import Project
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.config import CONFIG, Config, read_config

PARAMETERS = {
    "Environment": "stg",
    "SourceDataArns": "arn:aws:s3:::lake,arn:aws:s3:::lake/*",
    "AlertEmail": "a=b@example.com",
    "Note": "two words",
}
AS_LIST = """[
    "Environment=stg",
    "SourceDataArns=arn:aws:s3:::lake,arn:aws:s3:::lake/*",
    "AlertEmail=a=b@example.com",
    "Note=two words",
]"""
# As `sam deploy --guided` writes them.
AS_TEXT = (
    r'"Environment=\"stg\" SourceDataArns=\"arn:aws:s3:::lake,arn:aws:s3:::lake/*\"'
    r' AlertEmail=\"a=b@example.com\" Note=\"two words\""'
)


@pytest.mark.parametrize("overrides", [AS_LIST, AS_TEXT], ids=["a list", "one text"])
def test_parameters_are_read_as_the_sam_cli_and_a_person_write_them(
    overrides: str, tmp_path: Path
) -> None:
    project = Project.usual(tmp_path)
    assert read_config(project, "stg") is None
    file = tmp_path / CONFIG
    file.parent.mkdir()
    file.write_text(
        'version = 0.1\n[stg.deploy.parameters]\nstack_name = "reports"\n'
        f'region = "us-east-1"\nparameter_overrides = {overrides}\n'
    )
    assert read_config(project, "stg") == Config("stg", "us-east-1", "reports", PARAMETERS)
    assert read_config(project, "prd") is None


@pytest.mark.parametrize(
    "text",
    [
        "[stg",  # not TOML
        "stg = 1",
        "[stg]",
        "[stg.deploy.parameters]",
        "[stg.deploy]\nparameters = 1",
        '[stg.deploy.parameters]\nparameter_overrides = []\nstack_name = "reports"',
        '[stg.deploy.parameters]\nparameter_overrides = []\nregion = "us-east-1"',
        '[stg.deploy.parameters]\nparameter_overrides = 1\nregion = "a"\nstack_name = "b"',
        '[stg.deploy.parameters]\nparameter_overrides = ["a"]\nregion = "a"\nstack_name = "b"',
    ],
)
def test_a_file_that_does_not_say_it_is_one_message(text: str, tmp_path: Path) -> None:
    file = tmp_path / CONFIG
    file.parent.mkdir()
    file.write_text(f"{text}\n")
    with pytest.raises(DeployError) as refused:
        read_config(Project.usual(tmp_path), "stg")
    assert str(refused.value).startswith(f"{file} does not say where stg is deployed to: ")
