"""`python -m athena_reports`: look at a report before it is paid."""

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from athena_reports.errors import AthenaReportsError

if TYPE_CHECKING:
    from athena_reports.authors.declared import Declared

_DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
ReportName = Annotated[str, typer.Argument(metavar="REPORT", help="A report's name, or the id of its DAG.")]
PeriodId = Annotated[str, typer.Argument(metavar="[PERIOD]", help="A period id; by default the last complete one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def options(
    dags: Annotated[
        Path, typer.Option(envvar=_DAGS_FOLDER, help="The folder of the DAG files.", file_okay=False)
    ] = Path("dags"),
) -> None:
    """Tools for those who write reports. They use the AWS endpoint, account and region of the shell."""
    os.environ[_DAGS_FOLDER] = str(dags.resolve())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the report.")],
    table: Annotated[str, typer.Option(prompt="Table of events", help="The table of events, in Glue.")],
    key: Annotated[str, typer.Option(prompt="Column to rank", help="The column whose values are ranked.")],
    time: Annotated[str, typer.Option(prompt="Event time (a timestamp in UTC)", help="The event time.")],
    since: Annotated[datetime, typer.Option(prompt="First date with data", formats=["%Y-%m-%d"], help="First date.")],
    owner: Annotated[str, typer.Option(prompt="Owner", help="Who is asked when it fails.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last date; without it the report goes on.")
    ] = None,
    partition: Annotated[str, typer.Option(help="The partition key, a UTC date as text.")] = "dt",
    timezone: Annotated[str, typer.Option(help="IANA zone of its weeks and months.")] = "UTC",
) -> None:
    """Write a report: DAG file, SQL and a case. It asks for what is not given, and overwrites nothing."""
    from athena_reports.authors.new import NewReport, write_report

    given = {"name": name, "table": table, "key": key, "time": time, "owner": owner, "partition": partition}
    report = NewReport(**given, since=since.date(), until=until.date() if until else None, timezone=timezone)
    for path in write_report(report, Path()):
        print(path)


@app.command()
def preview(
    report: ReportName,
    period: PeriodId = "",
    run: Annotated[bool, typer.Option("--run", help="Pay the query, and show its rows and checks.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a period would query, which partitions it reads, and what it costs. Nothing is published."""
    from athena_reports.authors import preview as view
    from athena_reports.authors.declared import find_report
    from athena_reports.authors.trial import Aws
    from athena_reports.steps.scan_limit import ScanLimitError

    declared, shown_period = find_report(report, period, _reports())
    aws, progress = Aws.connect(), Console(stderr=True)
    with progress.status("Partitions are looked for."):
        seen = view.preview(declared, shown_period, aws)
    if not run:
        _show(seen, view.show, as_json)
        return
    try:
        with progress.status("Athena runs the query."):
            done = view.run_preview(seen, declared, shown_period, aws)
    except ScanLimitError:
        _show(seen, view.show, as_json)
        raise
    _show(done, view.show, as_json)


@app.command()
def plan(
    report: ReportName,
    last: Annotated[int, typer.Option(min=1, help="How many of the last published periods.")] = 3,
    key: Annotated[
        list[str] | None, typer.Option(help="A column that tells rows apart; several times for more.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pay without asking.")] = False,
    apply: Annotated[str, typer.Option(metavar="URL or mwaa:NAME", help="Let this Airflow restate what changes.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what an edited report would change in its last published periods, as Markdown. Nothing is published."""
    from athena_reports.authors import plan as planning
    from athena_reports.authors.airflow_api import connect, require_dag, restate
    from athena_reports.authors.declared import find_report
    from athena_reports.authors.preview import expected_cost
    from athena_reports.authors.trial import Aws

    declared, _ = find_report(report, "", _reports())
    aws, airflow = Aws.connect(), connect(apply) if apply else None
    periods = planning.published_before(declared, last, aws)
    planning.check_comparable(declared, periods, key or (), aws)
    if airflow:
        require_dag(airflow, declared.dag.dag_id)
    asked = f"Query {', '.join(map(str, periods))} of {declared.dag.dag_id}: {expected_cost(declared, periods, aws)}."
    if not yes:
        # With typer's own `err` the last character of the question still goes to standard output.
        with redirect_stdout(sys.stderr):
            typer.confirm(f"{asked} Pay?", abort=True)
    made = planning.make_plan(
        declared, periods, key or (), aws, lambda text: Console(stderr=True).print(text, style="dim")
    )
    print(made.model_dump_json(indent=2) if as_json else planning.markdown(made))
    if airflow:
        for period in made.restatable:
            restate(airflow, declared.dag.dag_id, period)
            Console(stderr=True).print(f"{declared.dag.dag_id} restates {period}.")


@app.command()
def docs(
    report: ReportName,
    odcs: Annotated[bool, typer.Option("--odcs", help="Print an ODCS data contract as YAML.")] = False,
) -> None:
    """Describe a report as Markdown, for its readers: schedule, inputs, columns, checks, and where it is published."""
    from athena_reports.authors import docs as describing
    from athena_reports.authors.declared import find_dags

    found = find_dags(report, _reports())
    print(describing.contract(found) if odcs else describing.markdown(found))


@app.command()
def status(report: ReportName, as_json: AsJson = False) -> None:
    """Show which periods are published, and which of them by other SQL, params or transform than today's."""
    from athena_reports.authors import status as view
    from athena_reports.authors.declared import find_report
    from athena_reports.authors.trial import Aws

    declared, _ = find_report(report, "", _reports())
    found = view.status(declared, Aws.connect())
    _show(found, view.show, as_json)


@app.command()
def costs(
    report: Annotated[str, typer.Argument(metavar="[REPORT]", help="A report, or the id of a DAG; else all.")] = "",
    months: Annotated[int, typer.Option(min=1, help="How many of the last months, in UTC.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Show what reports, their owners and months scanned and cost, dearest first."""
    from athena_reports.authors import costs as view
    from athena_reports.authors.declared import find_dags
    from athena_reports.authors.trial import Aws

    known = _reports()
    found = view.costs(find_dags(report, known) if report else known.reports, months, Aws.connect())
    _show(found, view.show, as_json)


@app.command("test")
def run_cases(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[REPORT or REPORT/CASE]...", help="By default all.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Keep what comes out as expected.csv, for review.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the cases are.")] = Path("tests/reports"),
    as_json: AsJson = False,
) -> None:
    """Run the cases of reports on the local Athena, transform and checks included."""
    from athena_reports.authors import cases
    from athena_reports.authors.trial import Aws

    folders = cases.case_folders(folder, names or [])
    console, aws, reports, results = Console(), Aws.connect(), _reports(), []
    for each in folders:
        results.append(cases.run_case(each, reports, aws, accept=accept))
        if not as_json:
            cases.show(results[-1], console)
    counts = Counter(result.outcome for result in results)
    if as_json:
        print(json.dumps([result.model_dump() for result in results], indent=2))
    else:
        console.print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    if counts["failed"] or counts["not run"]:
        raise typer.Exit(1)


@app.command("check-account")
def account(
    airflow: Annotated[str, typer.Option(metavar="URL or mwaa:NAME", help="Look for the pool in this Airflow.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check that the account has what the settings name, and may be written to. Nothing is queried or left behind."""
    from athena_reports.authors.airflow_api import check_pool, connect
    from athena_reports.authors.trial import Aws
    from athena_reports.settings import settings
    from athena_reports.workflows.preflight import check_account

    aws, names = Aws.connect(), settings()
    inputs = [each for declared in _reports().reports for each in declared.report.inputs]
    found = [*check_account(names, aws.athena, aws.glue, aws.s3, inputs=inputs)]
    if airflow:
        found.append(check_pool(connect(airflow), names.pool))
    if as_json:
        print(json.dumps([each._asdict() for each in found], indent=2))
    console = Console(quiet=as_json)
    for each in found:
        console.print("[red]✗[/]" if each.problem else "[green]✓[/]", escape(each.name), soft_wrap=True)
        if each.problem:
            console.print(f"  {each.problem}", markup=False, highlight=False, soft_wrap=True)
    if any(each.problem for each in found):
        raise typer.Exit(1)


def _reports() -> "Declared":
    """Return the reports of the DAGs folder, and print which files have none because they are broken."""
    from athena_reports.authors.declared import declared_reports

    declared = declared_reports()
    for problem in declared.problems:
        _print_problem(problem)
    return declared


def _print_problem(problem: str) -> None:
    Console(stderr=True).print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _show(found: BaseModel, show: Callable[[Any, Console], None], as_json: bool) -> None:
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        show(found, Console())


def main() -> None:
    """Run the command line; a known error is one message, and exit code 1."""
    from botocore.exceptions import BotoCoreError, ClientError

    from athena_reports.aws.errors import call_verdict

    # Airflow and botocore say how they were set up, on standard output.
    logging.disable(logging.WARNING)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    os.environ["PYTHONWARNINGS"] = "ignore"
    if sys.stdin is None:  # closed by the shell: a question then has no answer, as from an empty file
        sys.stdin = StringIO()

    try:
        app(prog_name="python -m athena_reports")
    except AthenaReportsError as error:
        _print_problem(str(error))
        raise SystemExit(1) from error
    except (BotoCoreError, ClientError) as error:
        verdict = call_verdict(error)
        _print_problem(f"{error} {verdict.hint}")
        raise SystemExit(1) from error
