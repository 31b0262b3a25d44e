"""The DAG beside a report's that delivers it, and the options that ask for it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import Column, Input, build_dag, mail, notify, slack
from athena_reports.delivery import delivery_options
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.errors import ReportError
from athena_reports.settings import Settings, settings
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEKS
from tests.support.dag_files import parse_dags
from tests.support.declared import MakeReport
from tests.support.examples import delivery_dag_file
from tests.support.notifiers import Recorder

pytestmark = since_3_3

SALES = mail("sales", to=["sales@example.com"])
TEAM = slack("team", channel="#sales")
EARLY_INPUT = Input("users", wait=timedelta(hours=1))
LATE_INPUT = Input("plays", wait=timedelta(hours=6))
COLUMNS = {
    "name": Column("varchar", "name"),
    "score": Column("bigint", "score"),
    "price": Column("decimal(10,2)", "price"),
    "salary": Column("bigint", "salary", private=True),
}


@pytest.fixture
def build(make_report: MakeReport) -> Any:
    """Builds a DAG of a report; options that a report has are its."""

    def build(*channels: Any, **options: Any) -> Any:
        fields = {
            name: options.pop(name)
            for name in ("columns", "inputs", "late_by", "outputs")
            if name in options
        }
        return build_dag(make_report(**fields), WEEKS, deliver=list(channels), **options)

    return build


@pytest.fixture
def dags(dags_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The DAGs of the example in the docs."""
    file = tmp_path / "best_users.py"
    file.write_text(delivery_dag_file())
    return parse_dags(file)


def test_a_report_with_channels_has_a_dag_with_a_task_for_each(dags: dict[str, Any]) -> None:
    assert set(dags) == {"best_users_weekly", "best_users_weekly_deliver"}
    dag = dags["best_users_weekly_deliver"]
    assert [task.task_id for task in dag.tasks] == ["sales", "team", "topic"]
    # What another report or cadence publishes does not start it.
    publish = dags["best_users_weekly"].get_task("publish")
    (asset,) = publish.delivery_outlets
    assert asset.name == "best_users_weekly_deliveries"
    assert asset in publish.outlets
    assert dag.timetable.asset_condition == asset
    assert all(not task.upstream_task_ids for task in dag.tasks)
    assert {task.max_active_tis_per_dag for task in dag.tasks} == {1}
    # So a channel that fails for hours holds up no other.
    assert dag.max_active_runs > 1
    assert dag.tags == {"athena-reports-maintenance", "weekly", "dev"}
    assert "backfill" not in dag.allowed_run_types
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.params.dump() == {"period": ""}
    # The trigger form sends null for an empty field.
    param = dag.params.get_param("period")
    assert (param.resolve(None), param.schema["title"]) == (None, "Period")
    for task in dag.tasks:
        assert task.retries >= 8
        # A server that is back gets what waits for it within half an hour.
        assert task.retry_delay == timedelta(minutes=1)
        assert task.max_retry_delay == timedelta(minutes=30)
        longest = sum(
            (min(task.retry_delay * 2**n, task.max_retry_delay) for n in range(task.retries)),
            timedelta(),
        )
        assert longest >= timedelta(hours=4)

    assert publish.channels == ("sales", "team", "topic")
    defaults = (timedelta(days=7), timedelta(days=60))
    assert (publish.deliver_within, publish.correct_within) == defaults


DELIVERED = """
# Airflow looks for a DAG in it.
from datetime import timedelta

from athena_reports import Report, build_dag, mail, slack, weekly
from tests.support.notifiers import Recorder

plays = Report(name="plays", sql="plays.sql", since="2025-01-01", owner="analytics")
sundays = weekly("sunday", "Asia/Tokyo")
plays_weekly = build_dag(
    plays,
    sundays,
    on_failure=[Recorder("failed")],
    on_late=[Recorder("late")],
    on_warning=[Recorder("warned")],
    deliver=[mail("sales", to=["sales@example.com"]), slack("team", channel="#sales")],
    deliver_within=timedelta(days=3),
    correct_within=timedelta(days=9),
    deliver_when="final",
)
"""


def test_each_setting_and_option_reaches_the_tasks(deployment: Settings, tmp_path: Path) -> None:
    (tmp_path / "plays.py").write_text(DELIVERED)
    dags = parse_dags(tmp_path / "plays.py")
    report_dag, dag = dags["plays_weekly"], dags["plays_weekly_deliver"]

    assert dag.is_paused_upon_creation
    assert dag.tags == {"athena-reports-maintenance", "weekly", "stg"}
    assert "`plays_weekly` to each channel: sales, team." in dag.doc_md
    policy = DeliveryPolicy(timedelta(days=3), timedelta(days=9), "final")
    assert (report_dag.delivery_policy, report_dag.cadence) == (policy, WEEKS)
    assert [channel.name for channel in report_dag.channels] == ["sales", "team"]
    for task, channel in zip(dag.tasks, report_dag.channels, strict=True):
        assert (task.task_id, task.channel) == (channel.name, channel)
        assert (task.report.name, task.cadence) == ("plays", WEEKS)
        assert (task.delivery_policy, task.deployment) == (policy, deployment)
        assert (task.owner, task.aws_conn_id) == ("analytics", "aws_reports")
        assert task.execution_timeout == timedelta(minutes=10), "a server may hang"
        (callback,) = task.on_failure_callback
        assert [each.message for each in callback.keywords["notifiers"]] == ["failed"]
        assert not task.has_on_retry_callback, "nobody reads why a delivery is tried again"
    publish = report_dag.get_task("publish")
    assert (publish.deliver_within, publish.correct_within) == (
        policy.within,
        policy.correct_within,
    )


def test_a_report_without_channels_has_no_such_dag(build: Any) -> None:
    dag = build()
    publish = dag.get_task("publish")
    assert (publish.channels, publish.delivery_outlets) == ((), [])


def test_a_delivery_that_has_failed_is_told_as_a_failed_run_is(
    dags_folder: Path, tmp_path: Path
) -> None:
    recorder = 'Recorder("{{ alert.message }} {{ exception }}")'
    text = delivery_dag_file().replace(
        "    deliver=[", f"    on_failure=[{recorder}],\n    deliver=["
    )
    file = tmp_path / "best_users.py"
    file.write_text(f"from tests.support.notifiers import Recorder\n{text}")
    dag = parse_dags(file)["best_users_weekly_deliver"]
    (callback,) = dag.get_task("sales").on_failure_callback
    (notifier,) = callback.keywords["notifiers"]
    for run in (
        DagRun(run_type="asset_triggered", partition_key="2025-06-01"),
        DagRun(run_type="manual", conf={"period": "2025-06-08"}),
        DagRun(run_type="manual", conf={"period": "June"}),
        None,
    ):
        failed = {"dag": dag, "run_id": "event-1", "ti": TaskInstance("sales")}
        callback({**failed, "dag_run": run, "exception": OSError("no server")})
    by_event, by_hand, wrong, unknown = notifier.told
    assert "best_users_weekly_deliver, period 2025-06-01, environment dev: failed" in by_event
    # A column of it is private, and nobody knows what such an error quotes.
    assert "sales: OSError (its text may quote a private column" in by_event
    assert "no server" not in by_event
    assert "period 2025-06-08," in by_hand
    assert "period unknown," in wrong
    assert "period unknown," in unknown
    next_step = (
        "Fix the cause, then clear only the failed task. Clearing the run would send to the other"
        " channels again."
    )
    address = "/dags/best_users_weekly_deliver/runs/event-1"
    assert all(next_step in message and address in message for message in notifier.told)


@pytest.mark.parametrize(
    ("channels", "options", "says"),
    [
        (
            [SALES, mail("sales", to=["b@example.com"])],
            {},
            "field 'deliver': two channels are named 'sales'. Rename one of them.",
        ),
        (["sales@example.com"], {}, "expected a list of channels, such as [mail('sales'"),
        ([Recorder("a")], {}, "expected a list of channels, such as [mail('sales'"),
        (
            [notify("topic", "SnsNotifier")],
            {},
            "channel 'topic': 'SnsNotifier' is not an Airflow notifier. Pass one",
        ),
        ([SALES], {"deliver_within": timedelta(minutes=5)}, "field 'deliver_within': 0:05:00 is"),
        (
            [SALES],
            {"deliver_when": "final", "late_by": timedelta(days=7)},
            "field 'deliver_within': 7 days, 0:00:00 is not longer than 7 days, 0:00:00, the"
            " earliest that a version can be published. Increase it.",
        ),
        (
            [SALES],
            {"deliver_within": timedelta(hours=6), "inputs": [EARLY_INPUT, LATE_INPUT]},
            "field 'deliver_within': 6:00:00 is not longer than 6:00:00",
        ),
        ([SALES], {"outputs": ["csv"]}, "requires Parquet. Add 'parquet' to outputs."),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_declared(
    build: Any, channels: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ReportError) as caught:
        build(*channels, **options)
    assert says in str(caught.value)
    assert str(caught.value).startswith("Report 'plays', field '")


@pytest.mark.parametrize("channels", [None, SALES, {}])
def test_channels_are_a_list(make_report: MakeReport, channels: Any) -> None:
    with pytest.raises(ReportError) as caught:
        build_dag(make_report(), WEEKS, deliver=channels)
    assert caught.value.field == "deliver"
    for one in ([SALES], (SALES,)):
        assert build_dag(make_report(), WEEKS, deliver=one).channels == (SALES,)


@pytest.mark.parametrize(
    ("bar", "says"),
    [
        ("score", ""),
        ("Score", ""),
        ("price", ""),
        ("points", "bar: 'points' is not available. Available columns: score, price."),
        ("name", "bar: 'name' is not available"),
        ("salary", "bar: 'salary' is not available"),
    ],
)
@pytest.mark.parametrize("make", [mail, slack], ids=["mail", "slack"])
def test_bars_are_of_a_column_of_numbers(
    build: Any, make: Callable[..., Any], bar: str, says: str
) -> None:
    whom: dict[str, Any] = {"to": ["a@example.com"]} if make is mail else {"channel": "#sales"}
    channel = make("sales", bar=bar, **whom)
    build(channel)  # a report that promises no columns
    if not says:
        build(channel, columns=COLUMNS)
        return
    with pytest.raises(ReportError) as caught:
        build(channel, columns=COLUMNS)
    assert says in str(caught.value)
    with pytest.raises(ReportError, match=r"Available columns: none\."):
        build(channel, columns={"name": COLUMNS["name"]})


@pytest.mark.parametrize("name", ["points", "salary"])
def test_a_mail_shows_public_columns_of_the_report_alone(build: Any, name: str) -> None:
    channel = mail("sales", to=["sales@example.com"], columns=["SCORE", name])
    with pytest.raises(ReportError, match=f"columns: '{name}' is not available"):
        build(channel, columns=COLUMNS)


def test_a_recipient_that_the_deployment_does_not_name_is_refused(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_RECIPIENTS", "example.org,#sales")
    settings.cache_clear()
    build(TEAM)
    with pytest.raises(ReportError, match=r"channel 'sales': .*does not include example.com\. Cor"):
        build(TEAM, SALES)


def test_an_airflow_without_keyed_events_is_refused(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_options, "HAS_KEYED_EVENTS", False)
    build()
    with pytest.raises(ReportError, match=r"field 'deliver': requires Airflow 3\.3 or later"):
        build(SALES)
