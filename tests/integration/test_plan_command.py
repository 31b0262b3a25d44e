"""`plan` as a command.

It pays after a yes and never else, and lets Airflow restate what changes and nothing else.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody

from athena_reports.authors.report_files import declared_reports, find_report
from local_aws.faults import Faults, Hold
from tests.fixtures.reports import carriers
from tests.flown import DAG_ID, EDIT, EDITED_DAY, EDITED_WEEK, WEEKS, Flown, interrupt
from tests.rest_api import TOKEN, RestApi, rest_api
from tests.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
RUNS = f"POST /api/v2/dags/{DAG_ID}/dagRuns"


@pytest.fixture
def airflow() -> Iterator[RestApi]:
    """An Airflow that has the report's DAG."""
    with rest_api({f"GET /api/v2/dags/{DAG_ID}": HTTPStatus.OK, RUNS: HTTPStatus.OK}) as api:
        yield api


def queried(flown: Flown, before: set[str]) -> Counter[str]:
    """The texts of the queries that are new."""
    return Counter(
        query["Query"] for query_id, query in flown.queries().items() if query_id not in before
    )


def sql_of(*weeks: str) -> Counter[str]:
    """What one query for each of these weeks asks."""
    declared, _ = find_report(DAG_ID, "", declared_reports())
    return Counter(declared.sql(declared.cadence.period(week)) for week in weeks)


def restated(airflow: RestApi) -> list[str]:
    """The periods whose runs Airflow was asked for, in a form that Airflow takes."""
    bodies = [body for request, body in airflow.requests if request == RUNS]
    return [(TriggerDAGRunPostBody.model_validate(body).conf or {})["period"] for body in bodies]


def changed_rows(markdown: str) -> dict[str, int]:
    """The number of changed rows of each period, by the table of a plan."""
    lines = re.findall(r"^\| (\S+) \| \d+ \| 0 \| 0 \| (\d+) \|", markdown, re.MULTILINE)
    return {period: int(number) for period, number in lines}


def changed_by_the_edit() -> dict[str, int]:
    """The same, counted in the raw data: the carriers that flew any miles on the edited day."""
    day = datetime.fromisoformat(EDITED_DAY).replace(tzinfo=UTC)
    flew = [row for row in carriers(day, day + timedelta(days=1)) if row["distance"]]
    return {week: len(flew) if week == EDITED_WEEK else 0 for week in WEEKS}


@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "the default", "no answer"])
def test_without_a_yes_nothing_is_paid_and_nothing_restated(
    answer: str, flown: Flown, airflow: RestApi
) -> None:
    flown.edit(*EDIT)
    before = flown.queries().keys()
    done = flown.run("plan", "flown", "--apply", airflow.url, answer=answer, AIRFLOW_TOKEN=TOKEN)
    assert done.returncode == 1
    assert f"Query {', '.join(WEEKS)} of {DAG_ID}: about " in done.stderr
    assert done.stderr.count("Pay?") == 1
    assert "Aborted" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert flown.queries().keys() == before
    assert restated(airflow) == []


def test_it_waits_for_the_answer_before_it_pays_and_an_interrupt_is_a_no(flown: Flown) -> None:
    before = flown.queries().keys()
    with flown.start("plan", "flown") as process:
        assert process.stderr is not None
        asked = ""
        while "Pay?" not in asked:
            letter = process.stderr.read(1)
            assert letter, asked
            asked += letter
        assert flown.queries().keys() == before
        done = interrupt(process)
    assert done.returncode == 1
    assert "Aborted" in done.stderr
    assert flown.queries().keys() == before


def test_a_closed_standard_input_is_a_no(flown: Flown) -> None:
    before = flown.queries().keys()
    with flown.start("plan", "flown", has_input=False) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "Aborted" in errors
    assert "Traceback" not in errors
    assert flown.queries().keys() == before


def test_a_yes_pays_one_query_for_each_period_and_nothing_is_restated_unasked(flown: Flown) -> None:
    flown.edit(*EDIT)
    before = set(flown.queries())
    done = flown.run("plan", "flown", answer="y\n")
    assert done.returncode == 0, done.stderr
    assert queried(flown, before) == sql_of(*WEEKS)
    assert done.stdout.startswith("### flown_weekly: 1 of 3 periods change\n")
    assert changed_rows(done.stdout) == changed_by_the_edit()
    assert "restates" not in done.stderr


def test_an_applied_plan_restates_the_period_that_changes_alone(
    flown: Flown, airflow: RestApi
) -> None:
    flown.edit(*EDIT)
    before = set(flown.queries())
    done = flown.run("plan", "flown", "--apply", airflow.url, answer="y\n", AIRFLOW_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert queried(flown, before) == sql_of(*WEEKS)
    assert restated(airflow) == [EDITED_WEEK]
    assert f"{DAG_ID} restates {EDITED_WEEK}." in done.stderr


def test_an_interrupt_stops_the_paid_query_and_pays_no_other(flown: Flown) -> None:
    faults = Faults(flown.services.endpoint_url)
    before = flown.queries().keys()
    hold = faults.add(Hold(sql="The miles of each carrier"))
    try:
        with flown.start("plan", "flown", "--yes") as process:
            while not any(each["struck"] for each in faults.list()):
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            done = interrupt(process)
    finally:
        faults.clear(hold)
    assert done.returncode == 130
    assert done.stdout == ""
    new = [query for query_id, query in flown.queries().items() if query_id not in before]
    assert [query["Status"]["State"] for query in new] == ["CANCELLED"]


def test_with_yes_the_last_periods_are_paid_unasked_and_told_as_json(
    shell: Shell, flown: Flown
) -> None:
    flown.edit(*EDIT)
    before = set(flown.queries())
    plan = shell.json("plan", DAG_ID, "--last", "2", "--yes")
    assert queried(flown, before) == sql_of(*WEEKS[-2:])
    differences = {period["period"]: period["differences"] for period in plan["periods"]}
    assert {week: each["changed"] for week, each in differences.items()} == {
        week: number for week, number in changed_by_the_edit().items() if week in WEEKS[-2:]
    }
    assert {tuple(each["key"]) for each in differences.values()} == {("carrier",)}


def test_rows_are_matched_by_the_columns_of_key(shell: Shell, flown: Flown) -> None:
    plan = shell.json(
        "plan", DAG_ID, "--last", "1", "--yes", "--key", "flights", "--key", "carrier"
    )
    (period,) = plan["periods"]
    assert period["differences"]["key"] == ["flights", "carrier"]


def test_a_plan_that_changes_nothing_restates_nothing(
    shell: Shell, flown: Flown, airflow: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    flown.edit("-- The miles", "-- All miles")
    before = set(flown.queries())
    code, printed = shell("plan", "flown", "--yes", "--apply", airflow.url)
    assert code == 0, printed
    assert "### flown_weekly: 0 of 3 periods change" in printed
    assert changed_rows(printed) == dict.fromkeys(WEEKS, 0)
    assert queried(flown, before) == sql_of(*WEEKS)
    assert restated(airflow) == []


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["flow"], 1, "There is no report 'flow'. Is it one of these: flown"),
        (["flown", "--last", "0"], 2, "--last"),
        (
            ["flown", "--key", "carrier", "--key", "carier"],
            1,
            "no column 'carier'. Choose a key among carrier, flights",
        ),
        (["flown", "--apply", "http://127.0.0.1:9"], 1, "AIRFLOW_TOKEN is not set"),
        (["flown", "--apply", "reports-stg"], 1, "'reports-stg' is not the address of an Airflow"),
    ],
)
def test_what_cannot_be_planned_is_one_message_and_nothing_is_paid(
    arguments: list[str], code: int, problem: str, shell: Shell, flown: Flown
) -> None:
    before = flown.queries().keys()
    ended, printed = shell("plan", "--yes", *arguments)
    assert ended == code
    assert problem in printed
    assert "Traceback" not in printed
    assert flown.queries().keys() == before


@pytest.mark.parametrize(
    ("apply", "token", "problem"),
    [
        ("{url}/elsewhere", TOKEN, "404 Not Found"),
        ("{url}", "expired", "401 Unauthorized"),
        ("http://127.0.0.1:9", TOKEN, "refused"),
        ("http://[127", TOKEN, "Airflow did not serve GET"),
    ],
    ids=["no such DAG", "an expired token", "no connection", "no address"],
)
def test_an_airflow_that_cannot_restate_is_told_before_anything_is_paid(
    apply: str,
    token: str,
    problem: str,
    shell: Shell,
    flown: Flown,
    airflow: RestApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", token)
    flown.edit(*EDIT)
    before = flown.queries().keys()
    code, printed = shell("plan", "flown", "--yes", "--apply", apply.format(url=airflow.url))
    assert code == 1
    assert f"GET /dags/{DAG_ID}" in printed
    assert problem in printed
    assert flown.queries().keys() == before


def test_a_period_whose_checks_fail_is_not_restated(
    shell: Shell, flown: Flown, airflow: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    edited, forbidden = EDITED_WEEK, WEEKS[-1]
    flown.edit(
        "SUM(distance)",
        f"SUM(IF(dt = '{EDITED_DAY}', 0, IF(dt = '2013-03-20', -1000, 1) * distance))",
    )
    file = flown.root / "dags" / "flown.py"
    file.write_text(
        file.read_text().replace("checks=[", 'checks=[checks.in_range("distance", at_least=0), ')
    )
    code, printed = shell("plan", "flown", "--yes", "--last", "2", "--apply", airflow.url)
    assert code == 0, printed
    assert "### flown_weekly: 2 of 2 periods change" in printed
    assert f"{forbidden} would not be published." in printed
    assert restated(airflow) == [edited]


def test_a_report_that_published_nothing_has_no_plan(shell: Shell, flown: Flown) -> None:
    file = flown.root / "dags" / "flown.py"
    file.write_text(file.read_text().replace('name="flown"', 'name="unflown"'))
    before = flown.queries().keys()
    code, printed = shell("plan", "unflown", "--yes")
    assert code == 1
    assert (
        "No period of unflown_weekly (Weekly from Monday, America/New_York) is published in Glue"
        in printed
    )
    assert flown.queries().keys() == before


@pytest.mark.parametrize(
    ("variables", "old", "new", "says"),
    [
        ({}, 'weekly("monday",', 'weekly("sunday",', "weeks from Sunday in America/New_York"),
        ({}, '"America/New_York"', '"UTC"', "weeks from Monday in UTC"),
        ({"ATHENA_REPORTS_ENV": "stg"}, "", "", "belongs to the environment dev, and this is stg"),
    ],
    ids=["first day", "zone", "environment"],
)
def test_a_report_that_no_run_could_publish_is_refused_before_it_asks_to_pay(
    variables: dict[str, str],
    old: str,
    new: str,
    says: str,
    shell: Shell,
    flown: Flown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET", "athena-report-dev")
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", "report_dev")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    file = flown.root / "dags" / "flown.py"
    if old:
        file.write_text(file.read_text().replace(old, new))
    before = flown.queries().keys()
    code, printed = shell("plan", "flown")
    assert code == 1
    assert "s3://athena-report-dev/flown/weekly/ " in printed
    assert says in printed
    assert "Pay?" not in printed
    assert flown.queries().keys() == before
