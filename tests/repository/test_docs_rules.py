"""The code that the pages show passes what `athena-reports check` runs, for whoever copies it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from athena_reports_cli.authoring.rules import dag_rules, sql_rules
from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.local.project import Project
from tests.repository.pages import PAGES, name_of
from tests.support.airflow_versions import since_3_3
from tests.support.code_blocks import Block, blocks_of
from tests.support.paths import ROOT

RULES = [*dag_rules.RULES, *sql_rules.RULES]
RUFF = str(Path(sys.executable).with_name("ruff"))
SIGNATURES = ROOT / "docs" / "reference" / "api.md"  # generated, and no code to copy
BLOCKS = [block for page in PAGES if page != SIGNATURES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]

# What stands around a part of a DAG file that a page shows alone.
BEFORE = '''"""
Part of a page, as an Airflow DAG.

**Schedule.** **Columns.** None.

**Input.** None.

**Rerun.** At any time.

**Permissions.** None.
"""

{standard}from athena_reports import {imports}

'''
OF_A_REPORT = ("Input", "Report", "build_dag", "checks", "transforms", "weekly")
ANY_SQL = """SELECT a FROM plays
WHERE {{ period.partitions("dt") }} AND {{ period.contains("played_at") }}
ORDER BY a
"""


def is_of_a_dag_file(block: Block) -> bool:
    if block.language != "python":
        return False
    return bool(re.search(r"\b(build_dag|DAG|Report|Input)\(|^transform = ", block.text, re.M))


def is_template(block: Block) -> bool:
    """Whether it is the SQL of a report. One with a macro is that of a DAG written by hand."""
    return block.language == "sql" and "{{" in block.text and "macros." not in block.text


def dag_file(block: Block, number: int) -> str:
    """The block as a whole DAG file; a part of one is completed."""
    if re.search(r"^from (airflow|athena_reports)", block.text, re.M):
        return block.text
    text = block.text
    if not re.search(r"\bReport\(", text):
        fields = [f'name="part_{number}"', f'sql="part_{number}.sql"']
        fields += ['owner="analytics"', 'since="2025-01-01"']
        names = assigned(text)
        fields += [f"{name}={name}" for name in ("transform", "inputs") if name in names]
        fields.append("doc=__doc__")
        text += "\nreport = Report(\n" + "".join(f"    {field},\n" for field in fields) + ")\n"
    text += 'report_weekly = build_dag(report, weekly("sunday"))\n'
    imports = [name for name in OF_A_REPORT if re.search(rf"\b{name}\b", text)]
    # As ruff writes it: with two empty lines before a function, and one before anything else.
    gap = "\n" if text.startswith("def ") else ""
    standard = "from datetime import timedelta\n\n" if "timedelta(" in text else ""
    return BEFORE.format(standard=standard, imports=", ".join(imports)) + gap + text


def assigned(text: str) -> set[str]:
    """The names that a part of a file assigns to."""
    names = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


IN_DAGS = [block for block in BLOCKS if is_of_a_dag_file(block) or is_template(block)]
PATTERNS = ROOT / "docs/how-to/sql-patterns.md"  # tests/services/test_sql_patterns.py runs them
SINCE_3_3 = {ROOT / "docs/how-to/deliver.md", ROOT / "docs/how-to/start-a-dag.md"}
DAG_PAGES = [
    pytest.param(page, marks=since_3_3 if page in SINCE_3_3 else (), id=name_of(page))
    for page in sorted({block.page for block in IN_DAGS} - {PATTERNS})
]


@pytest.mark.parametrize("page", DAG_PAGES)
def test_the_reports_of_a_page_break_no_rule(page: Path, tmp_path: Path, sql_folder: Path) -> None:
    root = tmp_path / "repository"
    (root / "dags").mkdir(parents=True)
    # Ruff takes what lies in plugins/ for code of the repository, which is imported last.
    (root / "plugins").symlink_to(ROOT / "plugins")
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    blocks = [block for block in blocks_of(page) if is_of_a_dag_file(block)]
    files = [dag_file(block, number) for number, block in enumerate(blocks)]
    for number, text in enumerate(files):
        (root / "dags" / f"file_{number}.py").write_text(text)
    names = [name for text in files for name in re.findall(r'\bsql="(\w+\.sql)"', text)]
    templates = [block.text for block in blocks_of(page) if is_template(block)]
    assert len(templates) <= len(names), "a template belongs to no report of the page"
    templates += [ANY_SQL] * (len(names) - len(templates))
    for name, template in zip(names, templates, strict=True):
        (sql_folder / name).write_text(template)

    repository = Repository(Project(root))
    sql_rules.renew(repository)
    findings = {rule.__name__: found for rule in RULES if (found := rule(repository))}
    assert findings == {}
    assert len(repository.files) == len(files) > 0


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_is_as_the_linter_wants_it(block: Block) -> None:
    """Only names may be unknown: those that another block of the page defines."""
    for command in (["check", "--extend-ignore=F821"], ["format", "--check"]):
        done = subprocess.run(
            [RUFF, *command, "--quiet", "--stdin-filename=dags/block.py", "-"],
            cwd=ROOT,
            input=block.text,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
