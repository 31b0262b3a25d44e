"""What can be imported from `athena_reports`, each name when it is asked for."""

import os
import subprocess
import sys

import pytest

import athena_reports

ASKED_FOR_IN_A_NEW_PROCESS = """
import sys
import athena_reports

heavy = {"airflow", "duckdb", "boto3", "jinja2", "pydantic"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
value = getattr(athena_reports, sys.argv[1])
assert value.__doc__
"""


def test_importing_the_package_loads_none_of_its_names_and_each_is_there_when_asked_for() -> None:
    for name in ("Report", "checks", "settings", "build_dag"):
        command = [sys.executable, "-c", ASKED_FOR_IN_A_NEW_PROCESS, name]
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_each_name_is_exported_once_and_leads_to_what_is_called_so() -> None:
    assert len(athena_reports.__all__) == len(set(athena_reports.__all__))
    for name in athena_reports.__all__:
        value = getattr(athena_reports, name)
        own_name = getattr(value, "__name__", name)  # an object such as PATIENT has none
        assert own_name.rpartition(".")[2] == name


def test_a_name_that_is_not_exported_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = athena_reports.nothing
