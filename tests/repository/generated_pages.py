"""The pages of docs/reference that follow from docstrings, settings, commands and the stack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from athena_reports.settings import Settings, defaults, read_settings
from athena_reports_cli.authoring.commands import app
from tests.repository import api_page
from tests.support.stacks import TEMPLATE

RENEW = "`make docs` writes it."

_SETTINGS = f"""# Settings

A deployment is set up by environment variables. Each process reads them once. A variable that is
missing, wrong or misspelt is an import error of every DAG file, and the error names it. An empty
variable counts as not set. [How to set them](../how-to/configure.md). This page is generated from
the model `Settings`:
{RENEW}

| variable | default | what it says | value |
| --- | --- | --- | --- |
"""
_COMMANDS = f"""# Command line

The tools for those who write reports and deploy them. `athena-reports COMMAND` and
`python -m athena_reports_cli COMMAND` are the same. In this repository, type
`.venv/bin/athena-reports`.
Without `--json` the output is for people. [How to write a report](../how-to/write-a-report.md)
shows them at work. This page is generated from the commands: {RENEW}

They use the AWS endpoint, region and credentials of the shell, and the [settings](settings.md). If
the shell names neither `AWS_ENDPOINT_URL` nor `ATHENA_REPORTS_ENV`, they use the services of the
`up` that runs in the project. If none runs, they start local services with the tables that `load`
has kept, for as long as they run. `run`, `backfill`, `plan`, `list`, `status`, `costs` and
`check-account` start none: nothing is published in new services. Airflow's home is `.airflow` in
the project, unless the shell names an `AIRFLOW_HOME`.

`athena-reports --install-completion` lets the shell complete commands and options. `bundle`
and `mwaa-check` need the extra `mwaa` (`pip install 'athena-reports-cli[mwaa]'`).

| exit code | when |
| --- | --- |
| 0 | Success. |
| 1 | A finding or a failure, which is printed; or a question was not answered with yes. |
| 2 | Usage: an unknown command or option, or an argument that is missing or not valid. |
| 130 | Ctrl-C (SIGINT) has ended the command. |
| 143 | SIGTERM has, as when a CI job is cancelled. |
| 129 | SIGHUP has, as when a terminal is closed. |
"""
_STACK = f"""# The stack

`cli/athena_reports_cli/mwaa/stack.yaml` is a CloudFormation template of what the reports of one
environment need. [A script](../how-to/deploy.md) creates and changes it.
This page is generated from the template:
{RENEW}

- **Buckets.** All are versioned and encrypted, closed to the public and to requests without TLS.
  `ReportBucket` keeps replaced and deleted objects for `NoncurrentDays`. No lifecycle rule expires
  a current object of a report there; who was told of alerts is kept for 90 days.
  Objects of `QueryResultsBucket` expire after `QueryResultsDays`.
  `MwaaBucket` keeps ten earlier versions of each file, and others for a year. `AccessLogsBucket`
  has the access logs of the other three for 90 days. Unfinished uploads are removed after a week.
- **Queries.** `Workgroup` enforces output location, encryption and scan cutoff,
  and publishes metrics.
- **Tables.** `ReportDatabase` holds the published tables.
  `CreatedSourceDatabase` is made on demand.
- **Permissions.** `ExecutionRole` has `ReportsPolicy` and `MwaaPolicy`:
  [each action](permissions.md).
- **Alerts.** `AlertTopic` gets failed and late reports, and two alarms: `SchedulerAlarm` (no
  heartbeat for half an hour) and `ScannedBytesAlarm` (more scanned in a day than expected).
  `LateOrFailedAlarm` is for dashboards.
- **Amazon MWAA.** `Airflow` is the environment. There is none without subnets.

Buckets, databases and the workgroup stay when the stack is deleted. The environment goes, because
it bills by the hour.
"""


def settings_page() -> str:
    """Each variable with its default: away from a local endpoint some have none."""
    local = dict(read_settings({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}))
    away = defaults({"ATHENA_REPORTS_ENV": "dev"})
    rows = []
    for name, field in Settings.model_fields.items():
        default = "`dev`" if name == "environment" else _default_of_setting(local[name])
        if field.is_required() and field.alias not in away:
            default += ", with a local endpoint only"
        description = " ".join(str(field.description).split())  # a cell is one line
        rows.append(f"| `{field.alias}` | {default} | {description} | {field.title} |")
    return _SETTINGS + "\n".join(rows) + "\n"


def _default_of_setting(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = str(value or "").replace("dev", "{env}")
    return f"`{text}`" if text else ""


def command_line_page() -> str:
    """Each command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return _COMMANDS + "\n".join(_command("athena-reports", group)) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"\n## {name.removeprefix('athena-reports ')}\n\n{_one_line(command.help)}\n"
    shown = [each for each in command.params if each.name != "help"]
    if shown:
        yield "| | default | |\n| --- | --- | --- |"
    for each in shown:
        says = each.metavar or each.name.upper()
        if each.param_type_name == "option":
            says = " ".join([*each.opts, each.metavar or ""]).strip()
        yield f"| `{says}` | {_default_of_param(each)} | {_one_line(each.help or '')} |"
    for sub, each in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {sub}", each)


def _default_of_param(param: Any) -> str:
    if getattr(param, "prompt", None):
        return "asked for"
    if param.required:
        return "must be given"
    if isinstance(param.show_default, str):
        return param.show_default
    return f"`{param.default}`" if param.default not in (None, "", False) else ""


def stack_page() -> str:
    """The parameters and the outputs of the template."""
    rows = ["\n## Parameters\n", "| parameter | default | what it says |", "| --- | --- | --- |"]
    for name, each in TEMPLATE["Parameters"].items():
        default = "must be given"
        if "Default" in each:
            default = f"`{each['Default']}`" if each["Default"] else "none"
        rows.append(f"| `{name}` | {default} | {_one_line(each['Description'])} |")
    rows += ["\n## Outputs\n", "| output | what it is |", "| --- | --- |"]
    for name, each in TEMPLATE["Outputs"].items():
        description = each["Description"]
        if re.fullmatch("ATHENA_REPORTS_[A-Z_]+", description):
            description = f"the value of `{description}`"
        rows.append(f"| `{name}` | {description} |")
    return _STACK + "\n".join(rows) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


PAGES = {
    "api": api_page.page,
    "settings": settings_page,
    "command-line": command_line_page,
    "stack": stack_page,
}
