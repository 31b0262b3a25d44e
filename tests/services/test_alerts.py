"""Alerts as they arrive: the examples of docs/how-to/alerts.md against SNS and a mail server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.execution_time import task_runner

from athena_reports import weekly
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.dag_files import parse_dags
from tests.support.examples import ALERTS_PAGE, alerts_dag_file
from tests.support.inbox import Inbox
from tests.support.mail_server import mail_server
from tests.support.neighbour import RUN_ID, Airflow
from tests.support.task_runner import execute, prepare, run_dag

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-03-09")
DUE_AT = WEEK.end_utc + timedelta(hours=3)
SCHEDULED = DagRun("scheduled", DUE_AT, WEEK.start_utc, WEEK.end_utc, start_date=DUE_AT)


pytestmark = pytest.mark.usefixtures("dags_folder")
Dags = Mapping[str, Any]


@pytest.fixture
def parse(services: Services, tmp_path: Path) -> Callable[..., Dags]:
    """Parses the example for a report of a name, with replacements of its text."""

    def parsed(name: str, *changes: tuple[str, str], mail: bool = False) -> Dags:
        text = alerts_dag_file(mail=mail)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / f"{name}.py"
        file.write_text(text.replace("best_users", name))
        return parse_dags(file)

    return parsed


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[[Airflow], None]:
    """Adds a run of the report's DAG to what the task of the alerts can ask Airflow for.

    Calls about another DAG go to the `TaskInstance` of the test, as without this fixture.
    """

    def add(airflow: Airflow) -> None:
        states = TaskInstance.get_task_states
        xcom = TaskInstance.xcom_pull

        def get_task_states(self: TaskInstance, dag_id: str, **which: Any) -> Any:
            if dag_id == airflow.dag_id:
                return airflow.get_task_states(dag_id=dag_id, **which)
            return states(self, dag_id, **which)

        def xcom_pull(self: TaskInstance, **which: Any) -> Any:
            if which.get("dag_id") == airflow.dag_id:
                return airflow.xcom_pull(**which)
            return xcom(self, **which)

        monkeypatch.setattr(TaskInstance, "get_task_states", get_task_states)
        monkeypatch.setattr(TaskInstance, "xcom_pull", xcom_pull)
        monkeypatch.setattr(TaskInstance, "get_dag", lambda _, dag_id: airflow.get_dag(dag_id))
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)

    return add


@pytest.mark.usefixtures("plays_lake")
def test_a_period_is_late_until_it_is_published_and_then_there_is_an_all_clear(
    parse: Callable[..., Dags], inbox: Inbox
) -> None:
    dags = parse("best_users")

    def look(after: timedelta = timedelta(minutes=1)) -> TaskInstance:
        with time_machine.travel(DUE_AT + after):
            return run_dag(dags["best_users_weekly_alerts"], SCHEDULED, run_id="scheduled__1")

    looked = look()
    assert looked.values["tell_when_due", "return_value"] is True
    assert looked.states["tell_when_published"] == "up_for_reschedule"
    ((subject, message),) = inbox.take()
    assert subject == "dev: best_users_weekly 2025-03-09 is late"
    (shown,) = re.findall(r"```text\n(best_users.*?)\n```", ALERTS_PAGE.read_text(), re.DOTALL)
    assert message == shown
    look()
    assert inbox.take() == [], "a retry tells nobody twice"
    two_weeks = timedelta(days=14)
    waiting = look(two_weeks - timedelta(minutes=1))
    assert waiting.states["tell_when_published"] == "up_for_reschedule"
    given_up = look(two_weeks)
    assert given_up.values["tell_when_published", "return_value"] is False
    assert inbox.take() == [], "nobody is told that it is no longer waited for"

    run_dag(dags["best_users_weekly"], SCHEDULED)
    looked = look()
    assert looked.values["tell_when_due", "return_value"] is False
    assert looked.values["tell_when_published", "return_value"] is True
    ((subject, message),) = inbox.take()
    assert subject == "dev: best_users_weekly 2025-03-09 is no longer late"
    assert re.search(r"published at \d{4}-\d\d-\d\d \d\d:\d\d Asia/Tokyo\n", message)
    look()
    assert inbox.take() == []

    another = run_dag(dags["best_users_weekly_alerts"], SCHEDULED, run_id="manual__1")
    assert another.values["tell_when_published", "return_value"] is False
    assert inbox.take() == [], "who was never told that it is late needs no all-clear"


FAILS_WITH_A_VALUE = """
SELECT CAST(user_id AS bigint) AS user_id
FROM plays
WHERE {{ period.partitions("dt") }}
"""


@pytest.mark.usefixtures("plays_lake")
def test_no_notifier_gets_a_value_of_a_private_column_that_athena_quotes(
    parse: Callable[..., Dags],
    inbox: Inbox,
    beside: Callable[[Airflow], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(tmp_path))
    (tmp_path / "top_users.sql").write_text(FAILS_WITH_A_VALUE)
    name = "private_users"
    private = 'columns={"user_id": Column("varchar", "Who", private=True)}, params='
    changes = (("import Report", "import Column, Report"), ("params=", private))
    dags = parse(name, *changes, mail=True)
    dag = dags[f"{name}_weekly"]

    xcoms = TaskInstance(dag_id=dag.dag_id, run_id=RUN_ID)
    task, context = prepare(dag.get_task("run_query"), xcoms, RUN_ID, SCHEDULED)
    xcoms.xcom_push("return_value", execute(task, context))
    task, context = prepare(dag.get_task("wait_for_query"), xcoms, RUN_ID, SCHEDULED)
    with pytest.raises(AirflowFailException) as caught:
        execute(task, context)
    logged = str(caught.value)
    (quoted,) = re.findall(r"['\"](u[^'\"]*)['\"]", logged)
    for keep_reason in task.on_failure_callback:
        keep_reason({**context, "exception": caught.value})

    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        for callback in dag.on_failure_callback:
            callback({**context, "reason": "task_failure"})
        # The DAG beside it tells what the callbacks have missed, here the second failure.
        reason = xcoms.values["wait_for_query", "reason"]
        states = {"run_query": "success", "wait_for_query": "failed"}
        run = Airflow(
            "failed",
            states,
            {("wait_for_query", "reason"): reason},
            clear_number=1,
            dag_id=dag.dag_id,
            period=WEEK,
        )
        beside(run)
        run_dag(dags[f"{name}_weekly_alerts"], SCHEDULED)

    messages = [text for _, text in inbox.take()]
    messages += [mail.get_body(("html",)).get_content() for _, mail in server.arrived]
    assert len(messages) == 6, "failed, failed again and late, each by SNS and by mail"
    for message in messages:
        assert quoted not in message
        assert "is FAILED: INVALID_CAST_ARGUMENT, see the task log for" in message
        assert "category 2, type " in message
        assert "console.aws.amazon.com/athena/" in message
