"""Validates the reports of a project by its rules: what the command `check` does."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console

from athena_reports_cli.authoring.source_tables import (
    GlueTables,
    find_in_file,
    read_tables,
    write_tables,
)
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.services import starting_services
from athena_reports_cli.local.words import counted


class BrokenRule(BaseModel, frozen=True):
    """A rule with its reason, and what breaks it."""

    rule: str
    reason: str
    findings: tuple[str, ...]


class Checked(BaseModel, frozen=True):
    """What a check has found, in how many DAG files and DAGs of reports."""

    broken: tuple[BrokenRule, ...]
    not_validated: tuple[str, ...]  # why dry runs cannot judge reports, a text for each SQL
    renewed: tuple[str, ...]  # the golden files that were written or removed
    files: int
    dags: int
    seconds: float

    @property
    def findings(self) -> int:
        """The number of findings."""
        return sum(len(rule.findings) for rule in self.broken)


def check(
    project: Project,
    names: Sequence[str] = (),
    *,
    renew: bool = False,
    glue_tables: GlueTables | None = None,
) -> Checked:
    """Return what breaks a rule.

    The process can do nothing else with Airflow afterwards: its settings are those of the check.
    `names` are reports or DAGs; empty for all. With `renew` the golden files are written first.
    What `glue_tables` reads is written into `tables.yaml`; None to read the columns there.
    """
    begun = time.monotonic()
    # The process ends before there is much garbage. To look for it takes a tenth of the time.
    gc.disable()
    find_table = glue_tables or find_in_file(project.root)
    with (
        environment_of_rules(project) as home,
        starting_services(Path(home) / "local-aws.log", workers=1) as wait_for_endpoint,
    ):
        # They take as long to start as Airflow to be imported.
        from athena_reports_cli.authoring.dry_run import DryRun
        from athena_reports_cli.authoring.rules import dag_rules, sql_rules

        repository = dag_rules.Repository(project, names)
        renewed = sql_rules.renew(repository) if renew else []
        dry_run = DryRun(wait_for_endpoint(), repository.all_reports, find_table)
        repository.judge = dry_run.judge
        broken = []
        for rule in [*dag_rules.RULES, *sql_rules.RULES]:
            findings = tuple(rule(repository))
            if findings:
                reason = " ".join(str(rule.__doc__).split())
                broken.append(BrokenRule(rule=rule.__name__, reason=reason, findings=findings))
        if glue_tables is not None:
            kept = read_tables(project.root) if names or broken else {}
            write_tables({**kept, **glue_tables.found}, project.root)
    return Checked(
        broken=tuple(broken),
        not_validated=tuple(
            f"{report}: {verdict.problem}"
            for (report, _), verdict in dry_run.verdicts.items()
            if verdict.outcome == "not validated"
        ),
        renewed=tuple(map(str, renewed)),
        files=len(repository.files),
        dags=len(repository.reports),
        seconds=time.monotonic() - begun,
    )


def show(checked: Checked, console: Console) -> None:
    """Print what a check has found."""
    lines = list(checked.renewed)
    for rule in checked.broken:
        lines += ["", f"{rule.rule}: {rule.reason}"]
        lines += ["    " + finding.replace("\n", "\n    ") for finding in rule.findings]
    lines += [f"not validated: {problem}" for problem in checked.not_validated]
    result = "No findings"
    if checked.findings:
        lines.append("")
        result = counted(checked.findings, "finding")
    parts = [
        f"{result} in {counted(checked.files, 'DAG file')}, {counted(checked.dags, 'report DAG')}"
    ]
    if checked.not_validated:
        parts.append(f"{len(checked.not_validated)} not validated")
    lines.append(f"{', '.join(parts)}; {checked.seconds:.0f} s")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def environment_of_rules(project: Project) -> Iterator[str]:
    """Set the variables of this process for the rules, which are to be imported in the context.

    Airflow reads its configuration when it is imported. The variables stay as they are set. So the
    findings depend on the project alone, and not on the shell or an account. Yields the folder of
    Airflow.
    """
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "AWS_", "ATHENA_REPORTS_")):
            del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(project.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(project.plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
            "ATHENA_REPORTS_ENV": "dev",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_DEFAULT_REGION": "us-east-1",
            **project.sql_settings(),
        }
        yield home
