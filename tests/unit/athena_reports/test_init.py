"""What `athena_reports` exports is there however it is asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import athena_reports

# Of the package nothing is loaded before a name is asked for.
# What it needs of others stays, to save time.
ASK = """
import sys
from importlib import import_module

def ask(way, name):
    if way == "attribute":
        return getattr(import_module("athena_reports"), name)
    names = {}
    exec(f"from athena_reports import {name}", names)
    return names[name]

def forget():
    for module in list(sys.modules):
        if module.partition(".")[0] == "athena_reports":
            del sys.modules[module]

package = import_module("athena_reports")
exported = package.__all__
names_of = {}
for name in exported:  # each module is the first that is loaded, once for each way
    module = package._MODULE_OF.get(name, f"{name} itself")
    names_of.setdefault(module, []).append(name)
for names in names_of.values():
    for ways in (["attribute", "import"], ["import", "attribute"]):
        forget()
        for name in names:
            first, second = [ask(way, name) for way in ways]
            assert first is second, (name, ways)
for order in (exported, exported[::-1]):
    forget()
    for name in order:
        assert ask("attribute", name) is ask("import", name), name
print(len(exported))
"""

# Airflow's plugin manager and every parse of a DAG file import the package.
LIGHT = """
import sys
import athena_reports

heavy = {"airflow", "duckdb", "boto3", "jinja2", "pydantic"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
"""


def output_of(script: str) -> str:
    folder = Path(athena_reports.__file__).parents[1]
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    output_of(LIGHT)


# CI runs test_layers.py, which rejects import cycles, and
# test_type_checkers_see_what_is_there, which compares each object.
@pytest.mark.full
def test_each_name_is_the_same_object_as_an_attribute_and_by_an_import_in_any_order() -> None:
    assert output_of(ASK).splitlines()[-1] == str(len(athena_reports.__all__))


def named_for_type_checkers() -> dict[str, Any]:
    """What the imports are that a type checker reads and Python does not, by name."""
    tree = ast.parse(Path(athena_reports.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    found: dict[str, Any] = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            found[alias.name] = imported(str(statement.module), alias.name)
    return found


def imported(module: str, name: str) -> Any:
    try:
        return import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return getattr(import_module(module), name)


def test_type_checkers_see_what_is_there() -> None:
    named = named_for_type_checkers()

    assert set(named) == set(athena_reports.__all__)
    assert len(athena_reports.__all__) == len(set(athena_reports.__all__))
    for name, value in named.items():
        assert getattr(athena_reports, name) is value, name
    assert {name for name, value in named.items() if isinstance(value, ModuleType)} >= {
        "checks",
        "settings",
    }


def test_what_is_loaded_on_demand_is_exported_and_another_name_is_refused() -> None:
    assert {*athena_reports._MODULE_OF, *athena_reports._MODULES} == set(athena_reports.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = athena_reports.nothing
