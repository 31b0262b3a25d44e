from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.errors import QueryError
from athena_reports.queries import submission as submit_module
from athena_reports.queries.submission import (
    LOOK_BACK,
    MAX_EXECUTIONS,
    Marker,
    Submission,
    generation_of,
    inner_query,
    recent_executions,
    require_budget,
    standing_for,
    stop_all,
    submit_once,
)
from tests.simulation.clock import VirtualClock, virtual_clock
from tests.simulation.memory_athena import LOST, MemoryAthena, Plan

FIELDS: dict[str, Any] = {
    "sql": "SELECT 1",
    "database": "database_dev",
    "catalog": "AwsDataCatalog",
    "workgroup": "dev",
    "result_configuration": {"OutputLocation": "s3://results/"},
    "environment": "dev",
    "dag_id": "plays_weekly",
    "run_id": "scheduled__2025-06-08",
    "task_id": "run_query",
    "generation": "0.3.3",
}


def submission(**fields: Any) -> Submission:
    return Submission.make(**FIELDS | fields)


# --- markers

TEXTS = st.text(st.characters(codec="utf-8"))
MARKERS = st.builds(Marker, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)


@given(TEXTS, MARKERS)
def test_a_marker_is_found_whatever_the_query_and_the_ids_are(sql: str, marker: Marker) -> None:
    assert Marker.find(sql + marker.line) == marker


@given(TEXTS, MARKERS, TEXTS, MARKERS)
def test_the_last_marker_counts_even_if_the_query_quotes_another_one(
    before: str, quoted: Marker, after: str, marker: Marker
) -> None:
    assert Marker.find(before + quoted.line + after + marker.line) == marker


@given(MARKERS)
def test_a_marker_is_one_line_of_ascii_that_no_id_can_break(marker: Marker) -> None:
    first, line = marker.line.split("\n")

    assert first == ""
    assert line.startswith("-- ")
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1",
        "SELECT '-- athena-reports: '",
        "SELECT 1\n-- athena-reports: ",
        "SELECT 1\n-- athena-reports: by hand",
        "SELECT 1\n-- athena-reports: [1, 2]",
        "SELECT 1\n-- athena-reports: 7",
        'SELECT 1\n-- athena-reports: {"environment": "dev"}',
        submission().sql + "\nLIMIT 1",
        submission().sql.replace('"dag_id"', '"dag"'),
    ],
)
def test_a_query_of_somebody_else_has_no_marker(sql: str) -> None:
    assert Marker.find(sql) is None


def test_a_marker_tells_a_run_that_a_backfill_reprocesses() -> None:
    """It keeps the id that the schedule gave it. A query of an earlier release says nothing but the id."""

    def read_back(marker: Marker) -> bool:
        found = Marker.find("SELECT 1" + marker.line)
        assert found == marker
        return found.is_of_backfill

    assert read_back(submission(is_of_backfill=True).marker)
    assert not read_back(submission(run_id="backfill__1", is_of_backfill=False).marker)
    fields = {"environment": "dev", "dag_id": "plays", "task_id": "run_query", "generation": "0.3.3"}
    for run_id, of_backfill in (("scheduled__1", False), ("backfill__1", True)):
        earlier = json.dumps(fields | {"run_id": run_id, "intention": "0" * 32})
        found = Marker.find(f"SELECT 1\n-- athena-reports: {earlier}")
        assert found is not None
        assert found.is_of_backfill is of_backfill


def test_a_query_from_before_markers_told_of_backfills_is_found_again() -> None:
    athena = MemoryAthena()
    (id_,) = start_all(athena, submission())

    again = submit_once(submission(is_of_backfill=False), athena=athena, start=starter(athena), is_retry=True)
    assert again == id_


# --- intentions and tokens

SMALL = st.fixed_dictionaries(
    {
        "sql": st.sampled_from(["SELECT 1", "SELECT 2", "SELECT 1\n-- athena-reports: {}"]),
        "database": st.sampled_from([None, "database_dev", "database_stg"]),
        "catalog": st.sampled_from(["AwsDataCatalog", "other"]),
        "workgroup": st.sampled_from(["dev", "stg"]),
        "result_configuration": st.sampled_from(
            [{}, {"OutputLocation": "s3://results/"}, {"OutputLocation": "s3://others/"}]
        ),
        "unload_to": st.sampled_from([None, "s3://results/unload/", "s3://others/"]),
        "environment": st.sampled_from(["dev", "stg"]),
        "dag_id": st.sampled_from(["plays", "plays_weekly"]),
        "run_id": st.sampled_from(["run-1", "run-2", "weekly-run-1"]),
        "task_id": st.sampled_from(["run_query", "other_query"]),
        "generation": st.sampled_from(["0.3.3", "1.3.3", "0.33.3"]),
    }
)


@st.composite
def near_twins(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of two submissions that differ in a few at most."""
    one, other = draw(SMALL), draw(SMALL)
    taken = draw(st.sets(st.sampled_from(sorted(one)), max_size=2))
    return one, one | {name: other[name] for name in taken}


@given(near_twins(), st.integers(0, 3), st.integers(0, 3))
def test_two_tokens_are_equal_exactly_if_intention_and_number_are(
    twins: tuple[dict[str, Any], dict[str, Any]], number: int, other_number: int
) -> None:
    one, other = (Submission.make(**fields) for fields in twins)
    same_intention = twins[0] == twins[1]

    assert (one.marker.intention == other.marker.intention) == same_intention
    assert (one.token(number) == other.token(other_number)) == (same_intention and number == other_number)


def test_a_token_is_one_that_athena_takes() -> None:
    assert 32 <= len(submission().token(0)) <= 128


@given(SMALL)
def test_what_was_started_can_be_read_back_from_what_athena_tells(fields: dict[str, Any]) -> None:
    athena = MemoryAthena()
    made = Submission.make(**fields)
    (id_,) = start_all(athena, made)

    found = Submission.of_response(athena.get_query_execution(id_))
    assert found is not None
    # Athena tells where the result lies, which a workgroup may have decided.
    assert found == replace(made, result_configuration={"OutputLocation": "s3://results/"})


@given(TEXTS.filter(lambda text: not text.rstrip().endswith(";")), st.integers(0, 3))
def test_each_execution_of_an_unload_writes_into_a_folder_of_its_own(text: str, number: int) -> None:
    made = submission(sql=f"SELECT {text}", unload_to="s3://results/unload/")
    numbered = made.numbered(number)

    lines = numbered.sql.split("\n")
    folder = f"s3://results/unload/{made.marker.intention}/{number}/"
    assert lines[0] == "UNLOAD ("
    assert lines[-2] == f") TO '{folder}' WITH (format = 'PARQUET', compression = 'ZSTD')"
    assert Marker.find(numbered.sql) == made.marker
    assert numbered.numbered(0) == made
    assert inner_query(numbered.sql) == f"SELECT {text}".rstrip()


def test_a_query_that_is_no_unload_has_one_text() -> None:
    quoting = f"SELECT '{submission(unload_to='s3://results/').sql}'"
    made = submission(sql=f"{quoting};\n")

    assert made.numbered(2) == made
    assert inner_query(made.sql) == quoting


@pytest.mark.parametrize("error_type", [1400, 1602])
def test_an_execution_after_a_failed_one_unloads_elsewhere(clock: VirtualClock, error_type: int) -> None:
    athena = MemoryAthena(plan=lambda number: Plan.failing(error_type) if number == 0 else Plan())
    made = submission(unload_to="s3://results/unload/")
    submit_once(made, athena=athena, start=starter(athena), is_retry=False)
    (failed,) = athena.queries
    clock.sleep(60)
    again = Submission.of_response(athena.get_query_execution(failed))
    assert again is not None
    submit_once(again, athena=athena, start=starter(athena), is_retry=True)

    texts = [athena.describe(id_)["Query"] for id_ in athena.queries]
    assert texts == [made.sql, made.numbered(1).sql]
    assert "/1/' WITH" in texts[1]


def test_a_query_of_somebody_else_is_no_submission() -> None:
    athena = MemoryAthena()
    (id_,) = start_all(athena, foreign())

    assert Submission.of_response(athena.get_query_execution(id_)) is None


def foreign(workgroup: str = "dev") -> Submission:
    """A query without a marker."""
    return replace(submission(workgroup=workgroup), sql="SELECT 1")


# --- generations: a model of what Airflow does to a task instance


@dataclass
class ModelOfAirflow:
    """The numbers of a task instance as Airflow keeps them.

    In 3.3 each clear counts `clear_number` up, in 3.0 only that of a run that had finished. A task that is
    cleared while it runs keeps its `max_tries`; any other gets its tries so far plus its retries.
    """

    counts_each_clear: bool
    retries: int
    clear_number: int = 0
    try_number: int = 0
    max_tries: int = field(init=False)

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    def start(self) -> str:
        """Start the task's next try."""
        self.try_number += 1
        return generation_of(self.clear_number, self.max_tries, self.retries)

    def clear(self, *, running: bool, run_finished: bool, retries: int) -> None:
        if self.counts_each_clear or run_finished:
            self.clear_number += 1
        if not running:
            self.retries = retries
            self.max_tries = self.try_number + retries


CLEARS = st.builds(
    dict,
    tries=st.integers(1, 5),
    running=st.booleans(),
    run_finished=st.booleans(),
    retries=st.integers(0, 4),
)


@given(st.booleans(), st.integers(0, 4), st.lists(CLEARS, max_size=8))
def test_the_generation_changes_at_each_clear_and_at_no_retry(
    counts_each_clear: bool, retries: int, clears: list[dict[str, Any]]
) -> None:
    airflow = ModelOfAirflow(counts_each_clear, retries)
    seen = [airflow.start()]
    for clear in clears:
        for _ in range(clear.pop("tries") - 1):
            assert airflow.start() == seen[-1]  # a retry
        running = clear["running"] and not clear["run_finished"]  # a finished run has no running task
        airflow.clear(**clear | {"running": running})
        generation = airflow.start()
        if running and not counts_each_clear:
            assert generation == seen[-1]  # 3.0 leaves no trace of it
        else:
            assert generation not in seen
            seen.append(generation)


def test_a_run_of_an_airflow_that_does_not_count_clears_has_a_generation() -> None:
    assert generation_of(None, 3, 3) == generation_of(0, 3, 3)


# --- submitting once


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


def start_all(athena: MemoryAthena, *submissions: Submission) -> list[str]:
    """Start queries past `submit_once`."""
    return [starter(athena)(each, f"{each.token(0)[:32]}-{len(athena.queries)}") for each in submissions]


def starter(athena: MemoryAthena) -> Callable[[Submission, str], str]:
    def start(submission: Submission, token: str) -> str:
        response = athena.start_query_execution(
            QueryString=submission.sql,
            QueryExecutionContext=submission.context,
            ResultConfiguration=submission.result_configuration,
            WorkGroup=submission.workgroup,
            ClientRequestToken=token,
        )
        found: str = response["QueryExecutionId"]
        return found

    return start


def submit(athena: MemoryAthena, made: Submission | None = None, *, is_retry: bool = True) -> str:
    client: Any = athena
    return submit_once(made or submission(), athena=client, start=starter(athena), is_retry=is_retry)


def test_a_first_try_is_one_call(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    submit(athena, is_retry=False)

    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]


@pytest.mark.parametrize("forgotten", [False, True], ids=["token known", "token forgotten"])
@pytest.mark.parametrize("seconds", [0, 1, 60], ids=["queued", "running", "succeeded"])
def test_a_retry_finds_its_query_whatever_has_become_of_it(
    clock: VirtualClock, forgotten: bool, seconds: float
) -> None:
    athena = MemoryAthena()
    first = submit(athena, is_retry=False)
    clock.sleep(seconds)
    if forgotten:
        athena.forget_tokens()

    assert submit(athena) == first
    assert len(athena.queries) == 1


def test_a_start_whose_answer_is_lost_leads_back_to_its_query(clock: VirtualClock) -> None:
    athena = MemoryAthena()

    def lose(action: str) -> None:
        if action == "StartQueryExecution":
            raise LOST

    athena.after = lose
    with pytest.raises(type(LOST)):
        submit(athena, is_retry=False)
    athena = replace(athena, after=lambda _: None)
    athena.forget_tokens()

    assert submit(athena) == "q-1"


def test_a_query_that_failed_for_good_stands_for_its_intention(clock: VirtualClock) -> None:
    athena = MemoryAthena(plan=lambda _: Plan.failing(1006, category=2))
    first = submit(athena, is_retry=False)
    clock.sleep(60)

    assert submit(athena) == first


@pytest.mark.parametrize("forgotten", [False, True], ids=["token known", "token forgotten"])
def test_a_cancelled_query_never_counts(clock: VirtualClock, forgotten: bool) -> None:
    athena = MemoryAthena()
    first = submit(athena, is_retry=False)
    athena.cancel(first)
    if forgotten:
        athena.forget_tokens()

    second = submit(athena)
    assert athena.states == ["CANCELLED", "QUEUED"]
    assert submit(athena) == second != first


@pytest.mark.parametrize("error_type", [0, 233, 1403, 1602])
def test_a_query_that_athena_failed_in_passing_is_started_again(clock: VirtualClock, error_type: int) -> None:
    athena = MemoryAthena(plan=lambda number: Plan.failing(error_type) if number == 0 else Plan())
    submit(athena, is_retry=False)
    clock.sleep(60)

    second = submit(athena)
    assert (submit(athena), len(athena.queries)) == (second, 2)


@pytest.mark.parametrize("forgotten", [False, True], ids=["token known", "token forgotten"])
def test_the_number_of_executions_is_bounded(clock: VirtualClock, forgotten: bool) -> None:
    athena = MemoryAthena(plan=lambda _: Plan.failing(0))
    for _ in range(MAX_EXECUTIONS):
        submit(athena)
        clock.sleep(60)
        if forgotten:
            athena.forget_tokens()
    with pytest.raises(QueryError, match=f"^{MAX_EXECUTIONS} executions.* q-{MAX_EXECUTIONS} last"):
        submit(athena)
    assert len(athena.queries) == MAX_EXECUTIONS


def test_a_retry_with_edited_sql_stops_its_predecessor(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    submit(athena, is_retry=False)

    assert submit(athena, submission(sql="SELECT 2")) == "q-2"
    assert athena.states == ["CANCELLED", "QUEUED"]


def test_editing_back_and_forth_ends_with_one_query_that_was_not_stopped(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    for sql in ("SELECT 1", "SELECT 2", "SELECT 1", "SELECT 2"):
        submit(athena, submission(sql=sql))
    clock.sleep(60)

    assert athena.states == ["CANCELLED", "CANCELLED", "CANCELLED", "SUCCEEDED"]


def test_a_predecessor_that_has_ended_is_left_as_it_is(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    submit(athena, is_retry=False)
    clock.sleep(60)
    submit(athena, submission(sql="SELECT 2"))

    assert athena.count("StopQueryExecution") == 0


@pytest.mark.parametrize(
    "others",
    [
        {"environment": "stg"},
        {"dag_id": "plays_monthly"},
        {"run_id": "manual__1"},
        {"task_id": "other_query"},
        {"generation": "1.3.3"},
        {"workgroup": "stg", "sql": "SELECT 2"},
    ],
    ids=str,
)
def test_a_retry_takes_no_query_of_another_task_or_run_and_stops_none(
    clock: VirtualClock, others: dict[str, Any]
) -> None:
    athena = MemoryAthena()
    start_all(athena, submission(**others), foreign())

    assert submit(athena) == "q-3"
    assert athena.count("StopQueryExecution") == 0


@pytest.mark.parametrize("newer", [LOOK_BACK - 1, LOOK_BACK], ids=["within", "beyond"])
def test_beyond_the_look_back_only_the_token_leads_back(clock: VirtualClock, newer: int) -> None:
    athena = MemoryAthena()
    first = submit(athena, is_retry=False)
    start_all(athena, *[foreign()] * newer)

    assert submit(athena) == first
    athena.forget_tokens()
    assert (submit(athena) == first) == (newer < LOOK_BACK)


def test_the_latest_executions_come_newest_first_in_pages_that_athena_allows(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    start_all(athena, *[foreign()] * 320, foreign("stg"))

    client: Any = athena
    found = [each["QueryExecution"]["QueryExecutionId"] for each in recent_executions(client, "dev")]
    assert found == [f"q-{number}" for number in range(320, 320 - LOOK_BACK, -1)]
    assert athena.count("BatchGetQueryExecution") == LOOK_BACK / 50
    assert list(recent_executions(client, "empty")) == []


STEPS = st.lists(
    st.sampled_from(["crash before", "crash after", "forget", "wait", "cancel", "retry"]), max_size=12
)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_happens_between_tries_one_query_is_paid(steps: list[str]) -> None:
    with virtual_clock() as clock:
        athena = MemoryAthena()
        for step in [*steps, "retry"]:
            if step == "forget":
                athena.forget_tokens()
            elif step == "wait":
                clock.sleep(1)
            elif step == "cancel" and athena.queries and athena.states[-1] != "SUCCEEDED":
                if athena.states.count("CANCELLED") < MAX_EXECUTIONS - 1:
                    athena.cancel([*athena.queries][-1])
            elif step == "retry" or step.startswith("crash"):
                _submit_and_crash(athena, step)
        clock.sleep(60)

        assert athena.states.count("SUCCEEDED") == 1
        assert set(athena.states) <= {"SUCCEEDED", "CANCELLED"}


class CrashError(BaseException):
    """The process is gone."""


def _submit_and_crash(athena: MemoryAthena, step: str) -> None:
    def crash(action: str) -> None:
        if action == "StartQueryExecution":
            raise CrashError

    faulty = replace(athena)  # the same queries and tokens
    if step == "crash before":
        faulty.before = crash
    elif step == "crash after":
        faulty.after = crash
    try:
        submit(faulty)
    except CrashError:
        assert step != "retry"


# --- what stands for an intention


def test_what_a_cancelled_query_was_submitted_again_as_stands_for_it(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    client: Any = athena
    first = submit(athena, is_retry=False)
    athena.cancel(first)
    assert standing_for(client, athena.get_query_execution(first)) is None
    start_all(athena, submission(run_id="other"), foreign())
    second = submit(athena)

    found = standing_for(client, athena.get_query_execution(first))
    assert found is not None
    assert found.id == second


def test_nothing_stands_for_a_query_of_somebody_else(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    client: Any = athena
    (id_,) = start_all(athena, foreign())

    assert standing_for(client, athena.get_query_execution(id_)) is None


# --- stopping


def test_whoever_stops_a_query_stops_every_execution_of_its_intention(clock: VirtualClock) -> None:
    athena = MemoryAthena(plan=lambda _: Plan.endless())
    client: Any = athena
    ids = start_all(athena, *[submission()] * 2, submission(run_id="other"), foreign())

    assert set(stop_all(client, athena.get_query_execution(ids[0]))) == set(ids[:2])
    assert athena.states == ["CANCELLED", "CANCELLED", "RUNNING", "RUNNING"]
    assert stop_all(client, athena.get_query_execution(ids[3])) == [ids[3]]


def test_nothing_is_asked_to_stop_that_has_ended(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    client: Any = athena
    (id_,) = start_all(athena, submission())
    clock.sleep(60)

    assert stop_all(client, athena.get_query_execution(id_)) == []
    assert athena.states == ["SUCCEEDED"]


def test_a_marker_can_be_read_by_people_and_other_tools() -> None:
    """The documented format: one JSON object, named by what it says."""
    line = submission(is_of_backfill=False).sql.splitlines()[-1]

    told = json.loads(line.removeprefix("-- athena-reports: "))
    assert told | {"intention": "..."} == {
        "environment": "dev",
        "dag_id": "plays_weekly",
        "run_id": "scheduled__2025-06-08",
        "task_id": "run_query",
        "generation": "0.3.3",
        "intention": "...",
        "backfill": False,
    }


def test_a_run_that_was_deleted_and_made_again_under_the_same_id_is_another_intention() -> None:
    first, again = (datetime(2025, 6, 15, 0, minute, tzinfo=UTC) for minute in (5, 45))
    assert generation_of(0, 3, 3, first) != generation_of(0, 3, 3, again)
    assert generation_of(0, 3, 3, first) == generation_of(0, 3, 3, first)


# --- the budget of backfills

GIGABYTE = 10**9


def backfilled(athena: MemoryAthena, *scanned: int, **fields: Any) -> None:
    """Queries of a DAG's backfill that have ended, each of another run."""
    for number, scanned_bytes in enumerate(scanned):
        run = {"run_id": f"backfill__{len(athena.queries)}-{number}"} | fields
        (id_,) = start_all(athena, submission(**run))
        athena.queries[id_].plan = Plan(scanned_bytes=scanned_bytes)


def affords(athena: MemoryAthena, gigabytes: float, run_id: str = "backfill__next") -> bool:
    marker = submission(run_id=run_id).marker
    try:
        require_budget(
            marker, athena, workgroup="dev", budget_bytes=int(gigabytes * GIGABYTE), now=athena.now
        )
    except QueryError:
        return False
    return True


def test_a_backfill_stops_before_it_would_scan_more_than_its_budget(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    assert affords(athena, 0)
    backfilled(athena, 2 * GIGABYTE, 4 * GIGABYTE)
    clock.sleep(60)

    assert affords(athena, 9)  # another one scans three, as they did in the mean
    assert not affords(athena, 8.99)


def test_a_query_that_runs_counts_at_least_with_the_mean(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    backfilled(athena, 2 * GIGABYTE)
    clock.sleep(60)
    start_all(athena, submission(run_id="backfill__running"))

    assert affords(athena, 6)
    assert not affords(athena, 5.99)


@pytest.mark.parametrize(
    "fields",
    [
        {"run_id": "scheduled__1"},
        {"run_id": "manual__1"},
        {"run_id": "backfill__by hand", "is_of_backfill": False},
        {"dag_id": "other"},
        {"environment": "stg"},
    ],
)
def test_what_others_scan_is_not_counted(clock: VirtualClock, fields: dict[str, Any]) -> None:
    athena = MemoryAthena()
    backfilled(athena, 5 * GIGABYTE, **fields)
    clock.sleep(60)

    assert affords(athena, 0)


def test_a_scheduled_run_that_a_backfill_reprocesses_is_counted(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    backfilled(athena, 5 * GIGABYTE, run_id="scheduled__1", is_of_backfill=True)
    clock.sleep(60)

    assert not affords(athena, 9)


def test_the_budget_is_one_of_the_last_day(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    backfilled(athena, 5 * GIGABYTE)
    clock.sleep(24 * 3600)
    assert not affords(athena, 6)
    clock.sleep(1)
    assert affords(athena, 0)


def test_until_the_first_has_ended_a_query_counts_with_what_it_has_scanned(clock: VirtualClock) -> None:
    """What the documentation says of the first wave: it starts, and may exceed the budget."""
    athena = MemoryAthena()
    for number in range(16):
        assert affords(athena, 1)
        (id_,) = start_all(athena, submission(run_id=f"backfill__{number}"))
        athena.queries[id_].plan = Plan(scanned_bytes=0)

    athena.queries[id_].plan = Plan(scanned_bytes=GIGABYTE + 1)
    assert not affords(athena, 1)


@pytest.mark.parametrize(("queries", "hours", "warns"), [(1, 23, False), (2, 23, True), (2, 25, False)])
def test_a_look_back_of_less_than_a_day_is_told(
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    queries: int,
    hours: int,
    warns: bool,
) -> None:
    monkeypatch.setattr(submit_module, "BUDGET_LOOK_BACK", 2)
    athena = MemoryAthena()
    backfilled(athena, *[GIGABYTE] * queries)
    clock.sleep(hours * 3600)

    assert affords(athena, 3)
    assert ("do not reach back 24 hours" in caplog.text) is warns


def test_a_query_that_is_paid_is_never_refused(clock: VirtualClock) -> None:
    athena = MemoryAthena()
    backfilled(athena, 5 * GIGABYTE)
    start_all(athena, submission(run_id="backfill__next"))
    clock.sleep(60)

    assert affords(athena, 1, "backfill__next")
    assert not affords(athena, 1, "backfill__other")
