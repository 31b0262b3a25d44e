"""A backfill under which everything is killed, frozen or refused: paid once, whole,
and right when all is over.

What happens is drawn from one seed. `CHAOS_SEED=7 pytest tests/airflow/test_chaos.py -k 26-weeks`
draws another plan.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from athena_reports.publication.location import PeriodLocation
from local_athena.faults import (
    CutBody,
    Drop,
    End,
    Fault,
    Faults,
    Hold,
    Refuse,
    Report,
    Slow,
    SlowDown,
    Throttle,
)
from tests.airflow.backfilled import (
    BUCKET,
    FIRST_SUNDAY,
    Backfilled,
    lake_of_plays,
    start_reports,
)
from tests.airflow.report_run import TASK_TITLE, title_of, until
from tests.support.calendars import WEEKS
from tests.support.dates import TOKYO, Period, weeks
from tests.support.published import assert_followed, partitions_of, read_complete

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

BLOWS = (
    ("kill", "task"),
    ("kill", "supervisor"),
    ("freeze", "task"),
    ("kill", "scheduler"),
    ("freeze", "scheduler"),
    ("kill", "triggerer"),
    ("freeze", "triggerer"),
    ("kill", "api-server"),
    ("freeze", "api-server"),
    ("kill", "postgresql"),
    ("freeze", "services"),
)


class Blow(NamedTuple):
    """What is done to which process; `pick` says to which of several tasks."""

    verb: str
    target: str
    pick: int


class Caught(NamedTuple):
    """A task that runs, both processes frozen."""

    task: psutil.Process
    supervisor: psutil.Process
    id: str


def draw_plan(seed: int, weeks: int, rounds: int) -> list[tuple[int, Blow | Fault]]:
    """What happens, and after how many tasks.
    In each round are all blows and all kinds of faults, shuffled.
    """
    random = Random(seed)
    drawn: list[Blow | Fault] = []
    for _ in range(rounds):
        drawn += [Blow(*blow, pick=random.randrange(60)) for blow in BLOWS]
        drawn += [
            Throttle(times=random.randint(1, 4)),
            Refuse(action=None, code="InternalServerException", times=random.randint(1, 3)),
            Drop(times=random.randint(1, 2)),
            Slow(milliseconds=random.randint(100, 1_000), times=random.randint(1, 20)),
            End(error_type=1602, retryable=True, reason="no capacity"),
            Report(state="QUEUED", times=random.randint(1, 4)),
            SlowDown(times=random.randint(1, 4)),
            CutBody(after_bytes=random.randrange(1_000), times=random.randint(1, 2)),
        ]
    random.shuffle(drawn)
    # In the second half of a backfill nothing new happens,
    # so that there still is something to strike.
    moments = sorted(random.choices(range(2 * weeks), k=len(drawn)))
    return list(zip(moments, drawn, strict=True))


def play(plan: Sequence[tuple[int, Blow | Fault]], weekly: Backfilled, faults: Faults) -> None:
    for after, what in plan:

        def has_come(after: int = after) -> bool:
            return bool(tasks(weekly, "success")["total_entries"] >= after)

        wait(weekly, has_come, f"{after} tasks have succeeded")
        print(f"after {after} tasks: {what}")
        if isinstance(what, Fault):
            faults.add(what)
        elif what.verb == "kill":
            kill(weekly, what)
        else:
            freeze(weekly, what)


def kill(weekly: Backfilled, blow: Blow) -> None:
    """Kill a process and, if it is not of a task, start it again.
    A scheduler's tasks die with it.
    """
    # A task whose supervisor is dead goes on, and reports to nobody.
    if blow.target in Caught._fields:
        with caught_task(weekly, blow.pick) as caught:
            getattr(caught, blow.target).kill()
    else:
        weekly.airflow.restart(blow.target)


def freeze(weekly: Backfilled, blow: Blow) -> None:
    """Let a process stand still until it is missed. A scheduler's tasks stand still with it."""
    airflow, what = weekly.airflow, f"the frozen {blow.target} is missed"
    if blow.target == "task":  # it goes on beside its next try
        with caught_task(weekly, blow.pick) as caught:
            # A scheduler that has lost the database ends only when its tasks have ended.
            wait(
                weekly,
                lambda: caught.id not in running_ids(weekly) or is_unhealthy(weekly, "scheduler"),
                what,
            )
    elif blow.target in ("scheduler", "triggerer"):
        with frozen(airflow.processes(blow.target)):
            wait(weekly, lambda: is_unhealthy(weekly, blow.target), what)
    else:
        children = psutil.Process().children()
        services = [child for child in children if "local_athena" in title_of(child)]
        url, processes = weekly.services.endpoint_url, services
        if blow.target == "api-server":
            url, processes = airflow.url, airflow.processes(blow.target)
        with frozen(processes), pytest.raises(httpx.ReadTimeout):
            httpx.get(url, trust_env=False)


def is_unhealthy(weekly: Backfilled, component: str) -> bool:
    return bool(weekly.airflow.client.health()[component]["status"] == "unhealthy")


def wait(weekly: Backfilled, happened: Callable[[], Any], what: str) -> Any:
    """Wait, and start again what ends meanwhile:
    a scheduler may do so when it loses the database.
    """

    def looked() -> Any:
        weekly.airflow.check_alive()
        return happened()

    return until(looked, what, seconds=300)


@contextmanager
def frozen(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop processes (SIGSTOP), and let them go on (SIGCONT)."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def caught_task(weekly: Backfilled, pick: int) -> Iterator[Caught]:
    """Freeze a task that runs."""

    def found() -> list[tuple[psutil.Process, psutil.Process]]:
        supervisors = {each.pid: each for each in weekly.airflow.processes("scheduler")}
        with suppress(psutil.NoSuchProcess):
            # A task that has lost its supervisor has another parent, which is not to be touched.
            pairs = ((task, supervisors.get(task.ppid())) for task in weekly.task_processes())
            return [(task, supervisor) for task, supervisor in pairs if supervisor is not None]
        return []

    while True:
        pairs = wait(weekly, found, "a task runs")
        task, supervisor = pairs[pick % len(pairs)]
        with frozen([supervisor, task]):
            id_ = title_of(task).removeprefix(TASK_TITLE)
            if id_ in running_ids(weekly):  # else it has just ended
                yield Caught(task, supervisor, id_)
                return


def running_ids(weekly: Backfilled) -> set[str]:
    return {row["id"] for row in tasks(weekly, "running")["task_instances"]}


def tasks(weekly: Backfilled, state: str) -> Any:
    path = f"/api/v2/dags/{weekly.dag_id}/dagRuns/~/taskInstances"
    return weekly.airflow.client.request("GET", path, params={"state": state, "limit": 100})


def assert_queries(weekly: Backfilled, periods: Sequence[Period], failed: int) -> None:
    """One query of each run has succeeded, and is what is published; none was stopped or runs."""
    queries = weekly.queries
    states = Counter(query.state for query in queries)
    assert states == Counter(SUCCEEDED=len(periods), FAILED=failed)
    paid = Counter(query.run_id for query in queries if query.state == "SUCCEEDED")
    assert paid == Counter(run.run_id for run in weekly.runs(periods))
    published = {(weekly.manifest(period) or {})["query"]["id"] for period in periods}
    assert published == {query.id for query in queries if query.state == "SUCCEEDED"}


def assert_whole(weekly: Backfilled, periods: Sequence[Period]) -> None:
    """All that a manifest names is there and as it says; Glue and `latest.json` say the same."""
    s3 = weekly.services.s3
    partitions = partitions_of(weekly.services.glue, "report_dev", weekly.dag_id)
    for period in periods:
        location = PeriodLocation.of(BUCKET, weekly.report, WEEKS.period(period.id))
        read_complete(s3, location)
        assert_followed(s3, location, partitions, is_latest=period == periods[-1])


@pytest.mark.parametrize(
    ("number", "rounds"), [pytest.param(26, 2, id="26-weeks"), pytest.param(52, 3, id="52-weeks")]
)
def test_a_backfill_is_paid_once_whole_and_right_whatever_happens(
    start_airflow: StartAirflow,
    tmp_path_factory: pytest.TempPathFactory,
    number: int,
    rounds: int,
) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    print(f"CHAOS_SEED={seed}")
    periods = weeks(FIRST_SUNDAY, number, TOKYO)
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", number) as plays:
        folder = tmp_path_factory.mktemp("reports")
        airflow = start_reports(
            start_airflow, plays.services, folder, database="postgresql", supervised=True
        )
        weekly = Backfilled(airflow, plays.services, "top_users", "weekly", plays.ranking)
        faults = Faults(plays.services.endpoint_url)
        faults.add(Hold(state="QUEUED", seconds=3, times=None))  # else no query is ever waited for

        weekly.begin(periods, max_active_runs=3)
        play(draw_plan(seed, number, rounds), weekly, faults)
        weekly.wait_until_success(periods)
        wait(weekly, lambda: not weekly.task_processes(), "what was taken for dead has ended")

        struck = Counter[str]()
        for fault in faults.list():
            struck[fault["kind"]] += fault["struck"]
        faults.clear()
        print(f"struck: {struck}")
        assert_whole(weekly, periods)
        assert_queries(weekly, periods, failed=struck["End"])
        weekly.assert_right(periods)
        weekly.assert_read(periods, plays)
        airflow.stop()
