"""A backfill under which everything is killed, frozen or refused: paid once, whole, and right when all is over.

What happens is drawn from one seed. `CHAOS_SEED=7 pytest tests/e2e/test_chaos.py -k 8-weeks` draws another plan.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from local_aws.faults import CutBody, Drop, End, Fault, Faults, Hold, Refuse, Report, Slow, SlowDown, Throttle
from tests.e2e.backfilled import (
    BUCKET,
    FIRST_SUNDAY,
    TOKYO,
    Backfilled,
    Period,
    lake_of_plays,
    start_reports,
    weeks,
)
from tests.e2e.report_run import TASK_TITLE, title_of, until

if TYPE_CHECKING:
    from tests.e2e.harness import StartAirflow

pytest_plugins = ["tests.e2e.harness"]
pytestmark = pytest.mark.e2e

LONG = 300  # seconds, after which a state is not waited for any more


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


def wait_until_given_up(url: str) -> None:
    """Wait until a client of a frozen server gives up: httpx's waits for 5 s."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(url, trust_env=False)


class Blows:
    """What can be done to a running backfill; the number that each takes says to which of its processes."""

    def __init__(self, weekly: Backfilled) -> None:
        self._weekly = weekly
        self._airflow = weekly.airflow

    def kill_task(self, pick: int) -> None:
        with self._caught(pick) as (task, _, _):
            task.kill()

    def kill_supervisor(self, pick: int) -> None:
        """Its task goes on, and reports to nobody."""
        with self._caught(pick) as (_, supervisor, _):
            supervisor.kill()

    def freeze_task(self, pick: int) -> None:
        """It goes on once it has been taken for dead, beside its next try."""
        with self._caught(pick) as (_, _, id_):
            until(lambda: id_ not in self._running(), f"task instance {id_} is taken for dead", seconds=LONG)

    def kill_scheduler(self, pick: int) -> None:
        """Its tasks die with it."""
        self._airflow.restart("scheduler", timeout_seconds=LONG)

    def freeze_scheduler(self, pick: int) -> None:
        """Its tasks freeze with it."""
        self._freeze("scheduler")

    def kill_triggerer(self, pick: int) -> None:
        self._airflow.restart("triggerer", timeout_seconds=LONG)

    def freeze_triggerer(self, pick: int) -> None:
        self._freeze("triggerer")

    def kill_api_server(self, pick: int) -> None:
        self._airflow.restart("api-server", timeout_seconds=LONG)

    def freeze_api_server(self, pick: int) -> None:
        with frozen(self._airflow.processes("api-server")):
            wait_until_given_up(self._airflow.url)

    def kill_database(self, pick: int) -> None:
        """Its clients lose their connections, and with them what they were about to write."""
        self._airflow.restart("postgresql", timeout_seconds=LONG)

    def freeze_services(self, pick: int) -> None:
        """S3, Glue and Athena answer nobody."""
        (services,) = (each for each in psutil.Process().children() if "local_aws" in title_of(each))
        with frozen([services]):
            wait_until_given_up(self._weekly.services.endpoint_url)

    def _freeze(self, component: str) -> None:
        def is_missed() -> bool:
            return bool(self._airflow.client.health()[component]["status"] == "unhealthy")

        with frozen(self._airflow.processes(component)):
            until(is_missed, f"the frozen {component} is missed", seconds=LONG)

    @contextmanager
    def _caught(self, pick: int) -> Iterator[tuple[psutil.Process, psutil.Process, str]]:
        """Hold a task that runs and its supervisor; the text is the id of the task instance."""
        while True:
            found = until(self._tasks, "a task runs", seconds=LONG)
            task, supervisor = found[pick % len(found)]
            with frozen([supervisor, task]):
                id_ = title_of(task).removeprefix(TASK_TITLE)
                if id_ in self._running():  # else it has just ended
                    yield task, supervisor, id_
                    return

    def _tasks(self) -> list[tuple[psutil.Process, psutil.Process]]:
        """The tasks that run, each with its supervisor; those that have lost theirs are left out."""
        supervisors = {each.pid: each for each in self._airflow.processes("scheduler")}
        with suppress(psutil.NoSuchProcess):
            pairs = ((task, supervisors.get(task.ppid())) for task in self._weekly.task_processes())
            return [(task, supervisor) for task, supervisor in pairs if supervisor is not None]
        return []

    def _running(self) -> set[str]:
        return {row["id"] for row in tasks(self._weekly, "running")["task_instances"]}


BLOWS = [name for name in vars(Blows) if not name.startswith("_")]


class Step(NamedTuple):
    """What happens, once so many tasks have succeeded: a fault, or a blow and its number."""

    after: int
    what: Fault | tuple[str, int]


def draw_plan(seed: int, weeks: int, rounds: int) -> list[Step]:
    """Each round has every blow and every kind of fault, and all of it is shuffled."""
    random = Random(seed)
    drawn: list[Fault | tuple[str, int]] = []
    for _ in range(rounds):
        drawn += [(blow, random.randrange(60)) for blow in BLOWS]
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
    # In the second half nothing new happens, so that there still is something to strike.
    moments = random.choices(range(2 * weeks), k=len(drawn))
    return list(map(Step, sorted(moments), drawn))


def tasks(weekly: Backfilled, state: str) -> Any:
    path = f"/api/v2/dags/{weekly.dag_id}/dagRuns/~/taskInstances"
    return weekly.airflow.client.request("GET", path, params={"state": state, "limit": 100})


def play(plan: Sequence[Step], weekly: Backfilled, faults: Faults) -> None:
    blows = Blows(weekly)
    for after, what in plan:

        def has_come(after: int = after) -> bool:
            weekly.airflow.check_alive()
            return bool(tasks(weekly, "success")["total_entries"] >= after)

        until(has_come, f"{after} tasks have succeeded", seconds=LONG)
        print(f"after {after} tasks: {what}")
        if isinstance(what, Fault):
            faults.add(what)
        else:
            name, pick = what
            blow: Callable[[int], None] = getattr(blows, name)
            blow(pick)


def assert_queries(weekly: Backfilled, periods: Sequence[Period], failed: int) -> None:
    """One query of each run was paid, and is what is published; no other runs, or was stopped."""
    queries = weekly.queries
    assert Counter(query.state for query in queries) == Counter(SUCCEEDED=len(periods), FAILED=failed)
    paid = Counter(query.run_id for query in queries if query.state == "SUCCEEDED")
    assert paid == Counter(run.run_id for run in weekly.runs(periods))
    published = {(weekly.manifest(period) or {})["query"]["id"] for period in periods}
    assert published == {query.id for query in queries if query.state == "SUCCEEDED"}


def assert_whole(weekly: Backfilled, periods: Sequence[Period]) -> None:
    """All that a manifest names is there and as it says, and nothing else; Glue and `latest.json` say the same."""
    s3, glue = weekly.services.s3, weekly.services.glue
    for period in periods:
        manifest = weekly.manifest(period)
        assert manifest is not None
        for entry in manifest["objects"]:
            body = s3.get_object(Bucket=BUCKET, Key=entry["key"])["Body"].read()
            assert (len(body), hashlib.sha256(body).hexdigest()) == (entry["bytes"], entry["sha256"]), entry["key"]
        folder = f"{weekly.report}/{weekly.cadence}/{period.id}/versions/"
        stored = {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]}
        assert {key for key in stored if "/sql/" not in key} == {entry["key"] for entry in manifest["objects"]}
        partition = glue.get_partition(DatabaseName="report_dev", TableName=weekly.dag_id, PartitionValues=[period.id])[
            "Partition"
        ]
        said = partition["Parameters"]
        assert (said["version"], said["query_id"]) == (manifest["version"], manifest["query"]["id"]), period
        assert (int(said["rows"]), said["published_at"]) == (manifest["rows"], manifest["published_at"]), period
        location = partition["StorageDescriptor"]["Location"]
        parquet = [f"s3://{BUCKET}/{each['key']}" for each in manifest["objects"] if each["format"] == "parquet"]
        assert [uri.rpartition("/")[0] + "/" for uri in parquet] == [location], period
    body = s3.get_object(Bucket=BUCKET, Key=f"{weekly.report}/{weekly.cadence}/latest.json")["Body"].read()
    latest, manifest = json.loads(body), weekly.manifest(periods[-1])
    assert manifest is not None
    names = ("period", "version", "rows", "published_at")
    assert {name: latest[name] for name in names} == {name: manifest[name] for name in names}


@pytest.mark.parametrize(
    ("number", "rounds", "seed"),
    [
        pytest.param(8, 1, 1, marks=pytest.mark.ci, id="8-weeks"),
        pytest.param(52, 3, 1, marks=pytest.mark.full, id="52-weeks"),
    ],
)
def test_a_backfill_is_paid_once_whole_and_right_whatever_happens(
    start_airflow: StartAirflow, tmp_path_factory: pytest.TempPathFactory, number: int, rounds: int, seed: int
) -> None:
    seed = int(os.environ.get("CHAOS_SEED", seed))
    print(f"CHAOS_SEED={seed}")
    periods = weeks(FIRST_SUNDAY, number, TOKYO)
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", number) as plays:
        folder = tmp_path_factory.mktemp("reports")
        airflow = start_reports(start_airflow, plays.services, folder, database="postgresql", supervised=True)
        weekly = Backfilled(airflow, plays.services, "user_ranking", "weekly", plays.ranking)
        faults = Faults(plays.services.endpoint_url)
        faults.add(Hold(state="QUEUED", seconds=3, times=None))  # else no query is ever waited for

        weekly.begin(periods, max_active_runs=3)
        play(draw_plan(seed, number, rounds), weekly, faults)
        weekly.wait_until_success(periods)
        until(lambda: not weekly.task_processes(), "what was taken for dead has ended", seconds=LONG)

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
