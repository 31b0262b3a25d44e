"""`status` as a command: which periods it counts and names.

tests/services/commands/test_looks.py has an edit of the SQL.
"""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from athena_reports.page.coverage import State
from athena_reports.periods.calendar import Cadence, monthly, weekly
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports_cli.authoring.status import PeriodStatus, Status, show
from tests.support.flown import ALL_WEEKS, DAG_ID, WEEKS, Flown
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output


def states(status: dict[str, Any]) -> dict[str, list[str]]:
    return {period["period"]: period["states"] for period in status["periods"]}


def test_as_json_each_period_has_its_states_and_its_version(shell: Shell, flown: Flown) -> None:
    status = shell.status(DAG_ID)
    assert states(status) == {
        week: ["published"] if week in WEEKS else ["missing"] for week in ALL_WEEKS
    }
    for period in status["periods"]:
        if period["states"] == ["missing"]:
            assert (period["version"], period["logic"]) == ("", "")
            continue
        key = f"flown/weekly/{period['period']}/manifest.json"
        manifest = json.load(
            flown.services.s3.get_object(Bucket="athena-report-dev", Key=key)["Body"]
        )
        assert period["version"] == manifest["version"]
        assert period["logic"] == status["logic"]


def test_of_a_report_without_a_table_no_period_is_known_to_be_published(
    shell: Shell, flown: Flown
) -> None:
    file = flown.root / "dags" / "flown.py"
    file.write_text(file.read_text().replace('owner="analytics",', 'outputs=["csv"],'))
    assert states(shell.status("flown")) == {week: ["missing"] for week in ALL_WEEKS}


WEEKLY = weekly("monday", "America/New_York")


def table_of(flown: Flown, report: str, cadence: Cadence = WEEKLY) -> Table:
    """The table of a report, by default in the calendar of `flown`."""
    location = ReportLocation.of("athena-report-dev", report, cadence)
    return Table("report_dev", location, flown.services.glue)


def test_what_cannot_be_read_hides_nothing_and_is_an_exit_code(shell: Shell, flown: Flown) -> None:
    file = flown.root / "dags" / "flown.py"
    file.write_text(file.read_text().replace('name="flown"', 'name="torn"'))
    readable, *_ = WEEKS
    tuesday = "2013-03-05"

    of_flown, of_torn = table_of(flown, "flown"), table_of(flown, "torn")
    columns = of_flown.columns()
    assert columns
    published = of_flown.partitions()[readable]
    of_torn.put_partition(readable, columns, published)
    of_torn.put_partition(tuesday, columns, published)

    code, _ = shell("status", "torn")
    counts, *problems = shell.output.splitlines()
    assert code == 1
    assert shell.errors == ""
    assert counts.endswith(": 4 periods, 3 missing, 1 published")
    (problem,) = problems
    assert problem.startswith(f"'{tuesday}' is not the id of a week")
    assert problem.endswith("If the cadence was changed, drop the partition.")

    code, _ = shell("status", "torn", "--json")
    (status,) = json.loads(shell.output)
    assert code == 1
    assert status["problems"] == problems
    assert states(status) == {
        week: ["published"] if week == readable else ["missing"] for week in ALL_WEEKS
    }


def write_sums(flown: Flown, cadence: str = 'weekly("monday", "America/New_York")') -> None:
    """Write the report `sums`, which reads the weeks of `flown`, in place of it."""
    file = flown.root / "dags" / "flown.py"
    text = file.read_text().replace('name="flown"', 'name="sums"')
    text = text.replace('(flown, weekly("monday", "America/New_York"))', f"(flown, {cadence})")
    reads = 'Published("flown", weekly("monday", "America/New_York"), parts="overlapping")'
    text = text.replace('Input("flights", "dt", missing="partial")', reads)
    text = text.replace('since="2013-03-04"', 'since="2013-03-01"')
    file.write_text(text.replace("import Input,", "import Published, monthly,"))
    (flown.root / "sql" / "flown.sql").write_text(
        "SELECT carrier, flights FROM {{ inputs.flown_weekly.table }}"
        " WHERE {{ inputs.flown_weekly.partitions }}\n"
    )


def test_a_month_of_published_weeks_is_stale_if_one_of_them_has_another_version(
    shell: Shell, flown: Flown
) -> None:
    write_sums(flown, 'monthly("America/New_York")')
    of_flown = table_of(flown, "flown")
    of_sums = table_of(flown, "sums", monthly("America/New_York"))
    columns = of_flown.columns()
    assert columns
    published = of_flown.partitions()[WEEKS[0]]
    versions = {week: of_flown.partitions()[week].facts.version for week in WEEKS}
    try:
        for parts, is_stale in ((versions, False), (versions | {WEEKS[1]: "another"}, True)):
            of_month = published.facts.model_copy(update={"parts": {DAG_ID: parts}})
            of_sums.put_partition("2013-03", columns, published._replace(facts=of_month))
            found = states(shell.status("sums"))
            assert ("stale" in found["2013-03"]) == is_stale
    finally:  # other tests share the lake
        flown.services.glue.delete_table(DatabaseName="report_dev", Name="sums_monthly")


def test_a_report_that_is_read_no_more_makes_nothing_stale(shell: Shell, flown: Flown) -> None:
    """The partition of a period names the versions that it read. Those of a report that is no input
    any more are not compared.

    Both periods are outdated: the SQL is not the one that they were published with.
    """
    write_sums(flown)
    of_flown, of_sums = table_of(flown, "flown"), table_of(flown, "sums")
    columns = of_flown.columns()
    assert columns
    published = of_flown.partitions()[WEEKS[0]]
    for period_id, table in ((WEEKS[0], DAG_ID), (WEEKS[1], "gone_weekly")):
        parts = {table: {WEEKS[0]: "another version"}}
        of_week = published.facts.model_copy(update={"parts": parts})
        of_sums.put_partition(period_id, columns, published._replace(facts=of_week))
    try:
        found = states(shell.status("sums"))
    finally:  # other tests share the lake
        flown.services.glue.delete_table(DatabaseName="report_dev", Name="sums_weekly")
    assert found[WEEKS[0]] == ["stale", "outdated", "published"]
    assert found[WEEKS[1]] == ["outdated", "published"]


def shown(periods: list[PeriodStatus], *problems: str, width: int = 300) -> list[str]:
    status = Status(dag_id="plays_monthly", logic="v2:1", periods=tuple(periods), problems=problems)
    output = StringIO()
    show([status], Console(file=output, width=width))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_periods_after_which_something_has_to_be_done_are_named_and_others_counted() -> None:
    published = State.PUBLISHED
    of_months: list[tuple[State, ...]] = [
        (State.MISSING,),
        (State.BROKEN, State.OUTDATED),
        (State.STALE, published),
        (State.OUTDATED, published),
        (State.OUTDATED, State.PARTIAL, published),
        (State.WARNED, State.EMPTY, State.PROVISIONAL, published),
        (published,),
    ]
    periods = []
    for number, states in enumerate(of_months, start=1):
        periods.append(PeriodStatus(period=f"2025-{number:02}", states=states))
    counts, *named = shown(periods)
    assert counts == (
        "plays_monthly, logic v2:1: 7 periods, 1 missing, 1 broken, 1 stale, 2 outdated, 1 warned,"
        " 1 published"
    )
    assert sorted(named) == [
        "broken: 2025-02",
        "outdated: 2025-02, 2025-04, 2025-05",
        "stale: 2025-03",
    ]
    one = PeriodStatus(period="2025-01", states=(State.BROKEN,))
    assert shown([one])[0] == "plays_monthly, logic v2:1: 1 period, 1 broken"


def test_a_line_of_many_periods_is_not_broken() -> None:
    states = (State.OUTDATED, State.PUBLISHED)
    periods = [PeriodStatus(period=f"20{n:02}-01", states=states) for n in range(10, 30)]
    problem = "The partition [2010-01] is not of this package: " + "drop it. " * 10
    assert shown(periods, problem, width=40) == [
        "plays_monthly, logic v2:1: 20 periods, 20 outdated",
        f"outdated: {', '.join(period.period for period in periods)}",
        problem.rstrip(),
    ]


def test_a_folder_of_another_environment_is_told_although_its_table_is_elsewhere(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "stg")
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-dev")
    flown.services.prepare("stg")
    code, _ = shell("status", "flown", "--json")
    assert code == 1
    (conflict,) = json.loads(shell.output)[0]["problems"]
    assert "belongs to environment dev; this is environment stg" in conflict
