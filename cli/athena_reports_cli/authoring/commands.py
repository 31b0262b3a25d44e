"""The commands of `athena-reports`, for those who write reports and deploy them.

A command imports what it needs when it runs, so that help and completion need none of it.
"""

import getpass
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, date, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from athena_reports.errors import AthenaReportsError
from athena_reports.version import __version__
from athena_reports_cli.authoring.report_name import (
    require_column_name,
    require_date,
    require_name,
    require_owner,
    require_partition_key,
    require_table_name,
)

if TYPE_CHECKING:
    from athena_reports.workflows.preflight import AccountCheck
    from athena_reports_cli.authoring.report_files import Declared, DeclaredReport
    from athena_reports_cli.local.project import Project
    from athena_reports_cli.local.running import Running

_PREVIEWS = "dist/preview"  # below the project, for `preview --deliver`

_EXAMPLES = """\b
Examples:
  athena-reports init my-reports                     create a project
  athena-reports load plays plays.csv --time at      load a table
  athena-reports preview best_users_weekly --run     run a query, publish nothing
  athena-reports up                                  start Airflow on this machine
  athena-reports run best_users_weekly 2025-06-02    publish a period there
  athena-reports status                              show what is published
"""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, in which brackets stay
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXAMPLES,
)
ReportName = Annotated[str, typer.Argument(metavar="REPORT", help="A report name or a DAG id.")]
AnyReportName = Annotated[
    str, typer.Argument(metavar="[REPORT]", help="A report name or a DAG id; by default, all.")
]
PeriodId = Annotated[
    str, typer.Argument(metavar="[PERIOD]", help="A period id; by default, the last complete one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AirflowAddress = Annotated[
    str,
    typer.Option(
        metavar="URL or mwaa:NAME",
        help="The Airflow to use; by default, that of `up` or AIRFLOW_URL.",
    ),
]


def _require(check: Callable[[str], None]) -> Callable[[str], str]:
    """Return a callback that asks again for what is not valid, or rejects it."""

    def callback(text: str) -> str:
        try:
            check(text)
        except AthenaReportsError as error:
            raise typer.BadParameter(str(error)) from error
        return text

    return callback


def _asked(question: str, explanation: str, check: Callable[[str], None], *, metavar: str) -> Any:
    """Return an option that is asked for, and whose answer is validated at once."""
    return typer.Option(
        prompt=question,
        show_default=False,
        metavar=metavar,
        help=explanation,
        callback=_require(check),
    )


TableOption = Annotated[
    str,
    _asked("Events table", "The events table in Glue.", require_table_name, metavar="NAME"),
]
RankedOption = Annotated[
    str,
    _asked(
        "Column to rank",
        "The column to rank.",
        require_column_name,
        metavar="COLUMN",
    ),
]
TimeOption = Annotated[
    str,
    _asked(
        "Event time (a timestamp in UTC)",
        "The column with the event time.",
        require_column_name,
        metavar="COLUMN",
    ),
]
SinceOption = Annotated[
    str,
    _asked("First date with data", "First date with data.", require_date, metavar="DATE"),
]


def _owner(owner: str) -> str:
    try:
        owner = owner or getpass.getuser()
    except (KeyError, OSError) as error:  # as in a container
        raise typer.BadParameter("Could not get your user name. Add --owner.") from error
    return _require(require_owner)(owner)


OwnerOption = Annotated[
    str,
    typer.Option(
        show_default="your user name",
        metavar="NAME",
        help="Who is notified when the report fails.",
        callback=_owner,
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="Last date with data; by default, the report has no end.",
    ),
]
PartitionOption = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help="The table's partition key, a UTC date as text.",
        callback=_require(require_partition_key),
    ),
]
TimezoneOption = Annotated[
    str, typer.Option(metavar="ZONE", help="IANA time zone of the weeks and months.")
]
EnvironmentName = Annotated[
    str, typer.Option("--env", metavar="NAME", help="An environment in deploy/environments.")
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"athena-reports {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
    dags: Annotated[
        Path | None,
        typer.Option(
            envvar="AIRFLOW__CORE__DAGS_FOLDER",
            help="The folder of DAG files; by default, the project's.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Write, check, run and deploy reports from Amazon Athena on Apache Airflow.

    The project is the nearest folder, from the working directory upwards, with a
    [tool.athena-reports] table in pyproject.toml. The AWS endpoint, account and region come from
    the shell. If it sets neither AWS_ENDPOINT_URL nor ATHENA_REPORTS_ENV, commands use the services
    of the project's running `up`, or start local ones.
    """
    if dags is not None:
        os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(dags.resolve())


def _set_up(context: typer.Context) -> "Project":
    """Return the project, and let this process use its folders, and services until it ends.

    It comes before what imports Airflow.
    """
    from athena_reports_cli.local.beside import services_beside

    project = _configured_project()
    context.with_resource(services_beside(project))
    return project


def _use_published() -> "Running | None":
    """Let this process use the project's folders, and services that have publications.

    Return the `up` that these belong to; None if they are others. It comes before what imports
    Airflow.
    """
    from athena_reports_cli.local.beside import published_services

    return published_services(_configured_project())


def _configured_project() -> "Project":
    """Return the project, and let Airflow in this process use its folders."""
    from athena_reports_cli.local.beside import configure_airflow
    from athena_reports_cli.local.project import find_project

    project = find_project()
    configure_airflow(project)
    return project


def _new_folder(folder: Path) -> Path:
    from athena_reports_cli.authoring.project_folder import require_new_folder

    require_new_folder(folder.absolute())
    return folder


def _new_report_name(name: str) -> str:
    from athena_reports_cli.authoring.report_name import require_new_name
    from athena_reports_cli.local.project import find_project

    require_new_name(name, find_project())
    return name


@app.command()
def init(
    folder: Annotated[
        Path,
        # What is refused is refused before the questions.
        typer.Argument(
            metavar="FOLDER",
            help="The folder to create; also the project's name.",
            callback=_new_folder,
        ),
    ],
    report: Annotated[
        str,
        _asked(
            "Name of the first report", "Name of the first report.", require_name, metavar="NAME"
        ),
    ] = "",
    table: TableOption = "",
    ranked: RankedOption = "",
    time: TimeOption = "",
    since: SinceOption = "",
    owner: OwnerOption = "",
    until: UntilOption = None,
    partition: PartitionOption = "dt",
    timezone: TimezoneOption = "UTC",
) -> None:
    """Create a project with its first report.

    Prompts for required options that are missing. Does not overwrite files.
    """
    from athena_reports_cli.authoring.rules.check import environment_of_rules
    from athena_reports_cli.local.project import Project

    with environment_of_rules(Project(folder.absolute())):
        from athena_reports_cli.authoring.init import write_project
        from athena_reports_cli.authoring.new import NewReport

        first_report = NewReport(
            name=report,
            table=table,
            ranked=ranked,
            time=time,
            owner=owner,
            since=date.fromisoformat(since),
            until=until,
            partition=partition,
            timezone=timezone,
        )
        write_project(folder, first_report)
    print(f"{folder} is ready. Next: cd {folder}, then see README.md.")


@app.command()
def new(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the report.", callback=_new_report_name),
    ],
    table: TableOption = "",
    ranked: RankedOption = "",
    time: TimeOption = "",
    since: SinceOption = "",
    owner: OwnerOption = "",
    until: UntilOption = None,
    partition: PartitionOption = "dt",
    timezone: TimezoneOption = "UTC",
) -> None:
    """Create a report: a DAG file, its SQL, a test case and the rendered SQL.

    Prompts for required options that are missing. Does not overwrite files.
    """
    from athena_reports_cli.authoring.rules.check import environment_of_rules
    from athena_reports_cli.local.project import find_project
    from athena_reports_cli.local.running import find_running
    from athena_reports_cli.local.words import print_note

    project = find_project()
    with environment_of_rules(project):
        # What is not installed is to be known before a file is written.
        from athena_reports_cli.authoring.new import NewReport, write_report
        from athena_reports_cli.authoring.rules.dag_rules import Repository
        from athena_reports_cli.authoring.rules.sql_rules import renew

        report = NewReport(
            name=name,
            table=table,
            ranked=ranked,
            time=time,
            owner=owner,
            since=date.fromisoformat(since),
            until=until,
            partition=partition,
            timezone=timezone,
        )
        files = write_report(report, project)
        golden_files = renew(Repository(project, [name]))
    running = find_running(project)
    if running is not None:
        print_note(
            f"The `up` at {running.airflow} loads the report within a minute. With --schedule, it"
            " then runs the last complete period."
        )
    for file in [*(file.relative_to(project.root) for file in files), *golden_files]:
        print(file)


@app.command()
def check(
    context: typer.Context,
    reports: Annotated[
        list[str] | None,
        typer.Argument(metavar="REPORT", help="Report names or DAG ids; by default, all."),
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Update the rendered SQL of the reports first.")
    ] = False,
    tables: Annotated[
        bool,
        typer.Option("--tables", help="Update the columns in tables.yaml from Glue first."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a report cannot be validated.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Validate this project's reports without calling AWS.

    Runs each report in a local Athena on empty tables with the columns in tables.yaml, which
    --tables updates from Glue first.
    """
    from athena_reports_cli.authoring.rules import check as checks
    from athena_reports_cli.local.project import find_project

    project = find_project()
    glue_tables = None
    if tables:
        _set_up(context)
        import boto3

        from athena_reports.settings import read_settings
        from athena_reports_cli.authoring.source_tables import GlueTables

        glue_tables = GlueTables(boto3.client("glue"), read_settings(os.environ))
    checked = checks.check(project, reports or (), renew=renew, glue_tables=glue_tables)
    _show(checked, checks.show, as_json)
    if checked.findings or (strict and checked.not_validated):
        raise typer.Exit(1)


@app.command()
def load(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    file: Annotated[
        Path,
        typer.Argument(help="A CSV, Parquet or JSON Lines file; the suffix sets the format."),
    ],
    time: Annotated[
        str,
        typer.Option(help="Event time column to partition by; by default, no partitions."),
    ] = "",
    by: Annotated[
        Literal["day", "hour"], typer.Option(help="Partition by day or by hour.")
    ] = "day",
    partition_key: Annotated[
        str, typer.Option(help="Name of the partition key to add for --time.")
    ] = "dt",
    zone: Annotated[
        str, typer.Option(help="IANA time zone of the partitions' dates and hours.")
    ] = "UTC",
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="COLUMN=TYPE",
            help="A column's Glue type, such as `price=decimal(10,2)`; repeat for each column.",
        ),
    ] = None,
    date_format: Annotated[
        str,
        typer.Option(
            help="Format of dates and timestamps, such as `%d.%m.%Y`; by default, ISO 8601."
        ),
    ] = "",
) -> None:
    """Load a file into a table in the local S3 and Glue, or replace that table.

    Also keeps the table in `.lake/`, where other commands find it. To remove it, delete its folder
    there. Rejects endpoints that are not local, and tables that `load` did not create. For formats
    and types, see the page "Load a CSV, Parquet or JSON file" of the documentation.
    """
    project = _set_up(context)
    from athena_reports.settings import settings
    from athena_reports_cli.authoring import load as loads
    from athena_reports_cli.authoring.source_tables import TableSchema, add_table, read_tables
    from athena_reports_cli.local.lake import Lake

    source = loads.Source(
        table=table,
        file=file.expanduser(),
        types=loads.parse_types(types or []),
        date_format=date_format,
        time=time,
        unit=by,
        key=partition_key,
        zone=zone,
    )
    before = read_tables(project.root).get(table)  # raises before the upload if it cannot be read
    with Console(stderr=True).status(f"Loading {escape(str(file))}"):
        kept = loads.load(source, Lake.of_shell(), project.lake)
    keys = {kept.key: "string"} if kept.key else {}
    schema = TableSchema(
        environment=settings().environment, columns=kept.columns, partition_keys=keys
    )
    add_table(table, schema, project.root)
    removed = before.columns.keys() - kept.columns.keys() if before else set()
    loads.show(source, kept, removed, Console())


@app.command()
def preview(
    context: typer.Context,
    report: ReportName,
    period: PeriodId = "",
    run: Annotated[
        bool,
        typer.Option(
            "--run", help="Run the query (Athena charges for it) and show its rows and checks."
        ),
    ] = False,
    deliver: Annotated[
        bool,
        typer.Option("--deliver", help="With --run: write what the channels would send to files."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a period's query, the partitions it reads, and its cost.

    Publishes nothing. With --run, fails if the period would not be published.
    """
    if deliver and not run:
        raise typer.BadParameter(
            "Add --run to run the query; Athena charges for it.", param_hint="--deliver"
        )
    project = _set_up(context)
    from athena_reports_cli.authoring import preview as previews
    from athena_reports_cli.authoring.dry_run import open_dry_run
    from athena_reports_cli.authoring.report_files import find_complete_period
    from athena_reports_cli.authoring.source_tables import ProjectTables
    from athena_reports_cli.authoring.trial import Aws

    all_reports = _reports()
    declared, previewed_period = find_complete_period(report, period, all_reports)
    aws = Aws.connect()
    tables = ProjectTables(project.root, aws.glue)
    progress = Console(stderr=True)
    with (
        progress.status("Validating the report"),
        open_dry_run(aws, all_reports.reports, tables) as dry_run,
    ):
        verdict = dry_run.require_valid(declared, previewed_period)
    with progress.status("Looking for partitions"):
        result = previews.preview(declared, previewed_period, aws, verdict, tables.outdated)
    if run and not result.refused:
        folder = project.root / _PREVIEWS / declared.dag.dag_id / previewed_period.id
        with progress.status("Running the query"):
            result = previews.run_preview(
                result,
                declared,
                previewed_period,
                aws,
                deliver_into=folder if deliver else None,
            )
    _show(result, previews.show, as_json)
    if run and (result.trial is None or result.trial.failed):
        raise typer.Exit(1)


@app.command()
def plan(
    report: ReportName,
    last: Annotated[
        int, typer.Option(min=1, help="How many of the latest published periods to run.")
    ] = 3,
    row_key: Annotated[
        list[str] | None,
        typer.Option(help="A column that identifies rows; repeat for each column."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run the queries without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an edit would change in published periods.

    Runs the last published periods with the edited report, and prints the differences as Markdown.
    Publishes nothing. Fails if a period would not be published. For a report with several DAGs,
    plans the first and lists the others. Ends with the command that restates the changed periods.
    """
    running = _use_published()
    from athena_reports_cli.authoring import plan as plans
    from athena_reports_cli.authoring.dry_run import open_dry_run
    from athena_reports_cli.authoring.preview import expected_cost
    from athena_reports_cli.authoring.report_files import find_dags
    from athena_reports_cli.authoring.source_tables import ProjectTables
    from athena_reports_cli.authoring.trial import Aws
    from athena_reports_cli.local.project import find_project

    progress = Console(stderr=True)
    show_progress = partial(progress.print, style="dim", soft_wrap=True)
    all_reports = _reports()
    declared, *others = find_dags(report, all_reports)
    dag_id = declared.dag.dag_id
    if others:
        other_ids = " or ".join(other.dag.dag_id for other in others)
        show_progress(f"Planning {dag_id} only. To plan another DAG, name it: {other_ids}")
    key_columns = tuple(row_key) if row_key else ()
    aws = Aws.connect()
    plans.check_folder(declared, aws)
    periods = plans.published_before(declared, last, aws)
    plans.check_comparable(declared, periods, key_columns, aws)
    tables = ProjectTables(find_project().root, aws.glue)
    with open_dry_run(aws, all_reports.reports, tables) as dry_run:
        verdicts = {dry_run.require_valid(declared, period) for period in periods}
    for verdict in verdicts:
        if verdict.problem:
            show_progress(f"not validated: {verdict.problem}")

    # This also ends the command if a run would not start one of the queries. So it is called even
    # if nobody is asked for a yes.
    cost = expected_cost(declared, periods, declared.published_periods(aws.glue))
    if not yes:
        _ask_to_pay(f"Run the queries of {dag_id} for {', '.join(map(str, periods))} ({cost})?")

    change_plan = plans.make_plan(declared, periods, key_columns, aws, show_progress)
    _show(change_plan, plans.show, as_json)
    if change_plan.restatable:
        command = f"athena-reports run {dag_id} {' '.join(change_plan.restatable)}"
        if running is None and not os.environ.get("AIRFLOW_URL"):
            command += " --airflow URL"
        show_progress(f"To restate the changed periods, deploy the edit, then run: {command}")
    if change_plan.failed:
        raise typer.Exit(1)


def _ask_to_pay(question: str) -> None:
    """End the command unless the answer is a yes."""
    # With typer's own `err` the last character of the question still goes to standard output.
    with redirect_stdout(sys.stderr):
        typer.confirm(question, abort=True)


@app.command()
def run(
    report: ReportName,
    period_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PERIOD]...", help="Period ids; by default, the last complete period."
        ),
    ] = None,
    airflow: AirflowAddress = "",
) -> None:
    """Run periods in Airflow now, and follow the runs until they end.

    Athena charges again for a published period. Ctrl-C stops following; the run continues.
    """
    running = _use_published()
    from urllib.parse import quote

    from athena_reports_cli.authoring import start_runs
    from athena_reports_cli.authoring.report_files import find_complete_period
    from athena_reports_cli.local.runs import TimedProgress, follow_run, require_success

    all_reports = _reports()
    chosen = [
        find_complete_period(report, period_id, all_reports) for period_id in period_ids or [""]
    ]
    client = start_runs.airflow_of(airflow, running)
    for declared, _ in chosen:
        start_runs.require_active(declared, client)
    progress = TimedProgress(Console())
    for declared, period in chosen:
        dag_id = declared.dag.dag_id
        run_id = start_runs.start_run(client, dag_id, period.id)
        page = client.link(f"/dags/{dag_id}/runs/{quote(run_id)}")
        progress(f"{dag_id} {period}: started. See {page}")
        ended = follow_run(client, dag_id, run_id, progress)
        require_success(client, ended)
        progress(f"{dag_id} {period}: {ended.state}")


@app.command()
def backfill(
    report: ReportName,
    first: Annotated[
        datetime,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First local date."),
    ],
    last: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last local date."),
    ],
    airflow: AirflowAddress = "",
    yes: Annotated[bool, typer.Option("--yes", help="Start without asking.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the runs; fail if one of them fails.")
    ] = False,
) -> None:
    """Backfill the periods that start in a range of local dates.

    Shows the runs of each DAG of the report, and asks before it starts them. Skips periods with a
    successful run, and those without data.
    """
    running = _use_published()
    from athena_reports_cli.authoring import backfill as backfills
    from athena_reports_cli.authoring.report_files import find_dags
    from athena_reports_cli.authoring.start_runs import airflow_of, require_active
    from athena_reports_cli.authoring.trial import Aws
    from athena_reports_cli.local.runs import TimedProgress, follow_backfill, require_success

    now = datetime.now(UTC)
    dags = find_dags(report, _reports())
    client = airflow_of(airflow, running)
    aws = Aws.connect()
    console = Console()
    plans = []
    for declared in dags:
        plan = backfills.plan_backfill(declared, first.date(), last.date(), client, aws, now)
        backfills.show(plan, console)
        if plan.to_run and wait:
            require_active(declared, client)
        plans.append(plan)
    if not any(plan.periods or plan.unfinished for plan in plans):
        raise backfills.no_period(report, first.date(), last.date())
    plans = [plan for plan in plans if plan.to_run]
    if not plans:
        console.print("Nothing to run.")
        return
    if not yes:
        _ask_to_pay("Start these runs?")
    for plan in plans:
        console.print(backfills.begin(plan, client), soft_wrap=True, highlight=False)
    if wait:
        progress = TimedProgress(console)
        for plan in plans:
            for ended in follow_backfill(client, plan.dag_id, plan.starts, progress):
                require_success(client, ended)


@app.command()
def docs(report: ReportName) -> None:
    """Describe a report as Markdown, for its readers.

    Shows its schedule, inputs, columns and checks, and where it is published. Does not call AWS.
    """
    from athena_reports_cli.local.beside import use_local_names

    _configured_project()
    use_local_names()
    from athena_reports_cli.authoring.docs import markdown
    from athena_reports_cli.authoring.report_files import find_dags

    print(markdown(find_dags(report, _reports())))


@app.command("list")
def list_reports(as_json: AsJson = False) -> None:
    """List the reports and their last published periods.

    The periods are shown only with an environment or a running `up`.
    """
    from athena_reports_cli.local.beside import NoServicesError, use_local_names

    aws = None
    try:
        _use_published()
        from athena_reports_cli.authoring.trial import Aws

        aws = Aws.connect()
    except NoServicesError:
        use_local_names()
    from athena_reports_cli.authoring import report_list

    all_reports = _reports()
    _show(report_list.list_reports(all_reports.reports, aws), report_list.show, as_json)
    if all_reports.broken_files:
        raise typer.Exit(1)


@app.command()
def status(report: AnyReportName = "", as_json: AsJson = False) -> None:
    """Show which periods are published or need attention.

    Also lists periods that were published with different SQL, params or transforms, and partitions
    that cannot be read.
    """
    _use_published()
    from athena_reports_cli.authoring import status as statuses
    from athena_reports_cli.authoring.trial import Aws

    all_reports = _reports()
    aws = Aws.connect()
    all_status = [statuses.status(declared, aws) for declared in _dags(report, all_reports)]
    _show(all_status, statuses.show, as_json)
    if all_reports.broken_files or any(dag_status.problems for dag_status in all_status):
        raise typer.Exit(1)


@app.command()
def costs(
    report: AnyReportName = "",
    months: Annotated[
        int, typer.Option(min=1, help="How many of the latest months to include, in UTC.")
    ] = 12,
    as_json: AsJson = False,
) -> None:
    """Show what queries scanned and cost.

    Prints totals by report, owner and month, the most expensive first.
    """
    _use_published()
    from athena_reports_cli.authoring import costs as cost_totals
    from athena_reports_cli.authoring.trial import Aws

    all_reports = _reports()
    totals = cost_totals.costs(_dags(report, all_reports), months, Aws.connect())
    _show(totals, cost_totals.show, as_json)
    if all_reports.broken_files:  # the reports of a broken file are not among them
        raise typer.Exit(1)


@app.command("test")
def run_cases(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="REPORT or REPORT/CASE", help="By default, all."),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Write the result to expected.csv for review. Fails if a check fails.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the test cases of reports on the local Athena, with transforms and checks."""
    project = _set_up(context)
    from athena_reports_cli.authoring import cases
    from athena_reports_cli.authoring.trial import Aws

    folders = cases.case_folders(Path(os.path.relpath(project.tests)), names or [])
    console = Console()
    aws = Aws.connect()
    all_reports = _reports()
    results = []
    for case_folder in folders:
        result = cases.run_case(case_folder, all_reports, aws, accept=accept)
        results.append(result)
        if not as_json:
            cases.show(result, console)

    _show(results, cases.show_numbers, as_json)
    if any(result.outcome in ("failed", "not run") for result in results):
        raise typer.Exit(1)


@app.command("check-account")
def account(
    airflow: Annotated[
        str, typer.Option(metavar="URL or mwaa:NAME", help="Also check the pool in this Airflow.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check that the account has the resources in the settings, and that you can write to them.

    Runs no query, and leaves nothing behind.
    """
    _use_published()
    from athena_reports.settings import settings
    from athena_reports.workflows.preflight import check_account
    from athena_reports_cli.authoring.start_runs import check_pool
    from athena_reports_cli.authoring.trial import Aws
    from athena_reports_cli.local.client import connect

    aws = Aws.connect()
    deployment = settings()
    all_reports = _reports()
    inputs = [source for declared in all_reports.reports for source in declared.report.inputs]
    found = check_account(deployment, aws.athena, aws.glue, aws.s3, inputs=inputs)
    checks = list(dict.fromkeys(found))  # reports that read a table in different ways
    if airflow:
        checks.append(check_pool(connect(airflow), deployment.pool))
    _show(checks, _show_checks, as_json)
    if all_reports.broken_files or any(check.problem for check in checks):
        raise typer.Exit(1)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Port of Airflow on 127.0.0.1.")] = 8080,
    schedule: Annotated[
        bool,
        typer.Option("--schedule", help="Also start runs on schedule and after publications."),
    ] = False,
) -> None:
    """Run Airflow with the reports on this machine.

    Runs until you stop it, with the Reports page, and with local services that have the tables from
    `load`. Meanwhile, the project's other commands use this Airflow and these services; `run` and
    `backfill` publish there. Airflow connections and variables come from `.airflow.env` in the
    project folder. Those that you create in the UI are lost at the next `up`.
    """
    from athena_reports_cli.local.project import find_project
    from athena_reports_cli.local.services import forget_aws_of_shell
    from athena_reports_cli.local.up import up as run_up

    forget_aws_of_shell()
    console = Console()
    try:
        run_up(find_project(), port, console, schedule=schedule)
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything that was started has been stopped.")
        raise


@app.command()
def bundle(environment: EnvironmentName = "prd") -> None:
    """Build the bundle for Amazon MWAA in dist/mwaa, without calling AWS."""
    from athena_reports_cli.local.project import find_project
    from athena_reports_cli.mwaa.bundle import build_bundle

    print(f"The bundle of {environment} is in {build_bundle(find_project(), environment)}")


@app.command("mwaa-check")
def mwaa_check(
    version: Annotated[str, typer.Option(help="The image's Airflow version, such as 3.3.1.")],
    environment: EnvironmentName = "prd",
) -> None:
    """Build the bundle, and run it in a twin of MWAA's image, without Docker.

    Runs one period of each DAG that reads only tables in `.lake/`.
    """
    from athena_reports_cli.local.project import find_project
    from athena_reports_cli.local.runs import TimedProgress
    from athena_reports_cli.local.services import forget_aws_of_shell
    from athena_reports_cli.mwaa import BundleError
    from athena_reports_cli.mwaa.bundle import build_bundle

    if find_spec("uv") is None:
        raise BundleError(
            "mwaa-check requires uv, which is not installed."
            " Install it: python -m pip install 'athena-reports-cli[mwaa]'"
        )
    from athena_reports_cli.mwaa.check import check_in_twin

    forget_aws_of_shell()
    project = find_project()
    bundle_folder = build_bundle(project, environment)
    check_in_twin(project, bundle_folder, version, TimedProgress(Console()))


def _show_checks(checks: "list[AccountCheck]", console: Console) -> None:
    """Print a line for each check, and below it what is wrong."""
    for check in checks:
        mark = "[red]✗[/]" if check.problem else "[green]✓[/]"
        console.print(mark, escape(check.name), soft_wrap=True)
        if check.problem:
            console.print(f"  {check.problem}", markup=False, highlight=False, soft_wrap=True)


def _reports() -> "Declared":
    """Return the reports of the DAGs folder, and print why a broken file has none."""
    from athena_reports_cli.authoring.report_files import declared_reports

    all_reports = declared_reports()
    for broken_file in all_reports.broken_files:
        print_problem(f"Cannot import {broken_file.problem}")
    return all_reports


def _dags(report: str, all_reports: "Declared") -> "list[DeclaredReport]":
    """Return the DAGs of a report, or all of them for an empty name."""
    from athena_reports_cli.authoring.report_files import find_dags

    return find_dags(report, all_reports) if report else all_reports.reports


def print_problem(problem: str) -> None:
    """Print what is wrong to standard error."""
    Console(stderr=True).print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _show(result: Any, show: Callable[[Any, Console], None], as_json: bool) -> None:
    """Print what a command has found as JSON, or as `show` prints it for a person."""
    from pydantic_core import to_json

    if as_json:
        print(to_json(result, indent=2).decode())
    else:
        show(result, Console())
