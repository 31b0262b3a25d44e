"""Holds the reports of a project against the rules: what the command `check` does."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from athena_reports_cli.authoring.rules.sql_style import StyleBeside
from athena_reports_cli.local.project import Project

_FINDINGS = 10


def check(project: Project, *, renew: bool) -> bool:
    """Print what breaks a rule.

    The process can do nothing else with Airflow afterwards: its settings are those of the check.

    Args:
        project: Whose reports are looked at.
        renew: Whether the golden files are written first.

    Returns:
        Whether nothing breaks a rule.
    """
    begun = time.monotonic()
    # The process ends before there is much garbage. To look for it takes a tenth of the time.
    gc.disable()
    files_of_sql = sorted(project.tests.glob("*/golden/*.sql"))
    golden = [file.read_text("utf-8") for file in files_of_sql]
    with environment_of_rules(project), StyleBeside(golden) as style:
        from athena_reports_cli.authoring.rules import dag_rules, published_rules, sql_rules

        repository = dag_rules.Repository(project, style.violations)
        if renew:
            changed = sql_rules.renew(repository)
            if not changed:
                print("The golden files are as they should be.")
            for file in changed:
                print(file)
        broken = 0
        for rule in [*dag_rules.RULES, *published_rules.RULES, *sql_rules.RULES]:
            findings = rule(repository)
            broken += len(findings)
            if findings:
                reason = " ".join(str(rule.__doc__).split())
                print(f"\n{rule.__name__}: {reason}")
                shown = findings[:_FINDINGS]
                if len(findings) > _FINDINGS:
                    shown.append(f"... and {len(findings) - _FINDINGS} more")
                for finding in shown:
                    print("    " + finding.replace("\n", "\n    "))
        files = len(repository.files)
        dags = len(repository.reports)
    seconds = time.monotonic() - begun
    result = "No finding"
    if broken:
        result = f"\nThe rules are in athena_reports_cli/authoring/rules. Findings: {broken}"
    files_noun = "DAG file" if files == 1 else "DAG files"
    dags_noun = "report DAG" if dags == 1 else "report DAGs"
    print(f"{result} in {files} {files_noun}, {dags} {dags_noun}; {seconds:.0f} s")
    return broken == 0


@contextmanager
def environment_of_rules(project: Project) -> Iterator[None]:
    """Set the variables of this process for the rules, which are to be imported in the context.

    Airflow reads its configuration when it is imported. The variables stay as they are set.

    Args:
        project: Whose reports are looked at.
    """
    with tempfile.TemporaryDirectory() as home:
        _set_environment(project, home)
        yield


def _set_environment(project: Project, home: str) -> None:
    """Set the variables so that the findings depend on the project alone.

    They do not depend on the shell or on an account then.
    """
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "AWS_", "ATHENA_REPORTS_")):
            del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project.plugins),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "50",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "ATHENA_REPORTS_ENV": "dev",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **project.sql_settings(),
    }
