from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from athena_reports.aws.s3 import S3
from athena_reports.errors import InputError, MissingPartitionsError
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.inputs.input import Input
from athena_reports.inputs.need import InputNeed
from athena_reports.periods.calendar import Period, yearly
from athena_reports.steps.input_coverage import (
    complete_periods,
    find_partitions,
    find_together,
    require_partitions,
)
from tests.support.calendars import WEEKS
from tests.support.wire import answered, json_response
from tests.unit.athena_reports.inputs.clocks import (
    INSTANT,
    ROUNDS,
    Case,
    hours_on_a_clock,
    random_case,
    some_layouts,
)
from tests.unit.athena_reports.inputs.glue_tables import Lake

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEEK = WEEKS.period("2025-06-22")  # its dates in UTC are those from 06-21 to 06-28
NO_S3: Any = None  # these inputs have no done objects
DAYS = [f"2025-06-{day}" for day in range(21, 29)]
DT = {"dt": "string"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAYS = Input("plays", missing="partial")


def need_of(source: Input, lake: Lake, period: Period = WEEK) -> InputNeed:
    return InputNeed(source=source, period=period, late_by=timedelta(0), database=lake.database)


def look(lake: Lake, source: Input = PLAYS, period: Period = WEEK) -> InputCoverage:
    need = need_of(source, lake, period)
    ((coverage, _),) = find_together([need], now=NOW, glue=lake.glue, s3=NO_S3)
    return coverage


def test_two_years_of_hours_take_18_calls(lake: Lake) -> None:
    stored = [["2024/01/01/00"], ["2025/12/31/23"], ["2023/12/31/23"]]
    lake.create({"datehour": "string"}, stored)
    hours = Input("plays", "datehour", format="%Y/%m/%d/%H", previous=True, missing="partial")
    with (
        answered(lake.glue, "GetTable") as tables,
        answered(lake.glue, "BatchGetPartition") as batches,
    ):
        found = look(lake, hours, yearly().period("2025"))
    assert (found.needed, len(found.absent)) == (17_544, 17_542)
    assert (len(tables), len(batches)) == (1, 18)
    sizes = [len(json.loads(batch.body)["PartitionsToGet"]) for batch in batches]
    assert sorted(sizes) == [544, *[1000] * 17]


@pytest.mark.parametrize("is_projected", [False, True])
@pytest.mark.parametrize("previous", [False, True])
def test_the_complete_ones_of_many_periods_are_those_that_lack_nothing_alone(
    previous: bool, is_projected: bool, lake: Lake
) -> None:
    # Two gaps of a day, and an end.
    first = date(2025, 3, 1)
    days = [str(first + timedelta(days=number)) for number in range(90) if number not in (20, 60)]
    parameters = {}
    if is_projected:
        parameters = {"dt__type": "date", "dt__range": f"{days[0]},{days[-1]}"}
    lake.create(DT, [[day] for day in days], **parameters)
    sources = [Input("plays", previous=previous, missing="partial")]
    how: Any = {
        "late_by": timedelta(days=1),
        "now": datetime(2025, 6, 5, tzinfo=UTC),
        "database": lake.database,
        "glue": lake.glue,
        "s3": NO_S3,
    }
    start = datetime(2025, 2, 1, tzinfo=UTC)
    periods = [*WEEKS.between(start, datetime(2025, 7, 1, tzinfo=UTC))]
    alone = []
    for period in periods:
        (partitions,) = find_partitions(sources, period, **how)
        if not partitions.coverage.gaps:
            alone.append(period)
    assert 0 < len(alone) < len(periods)

    with (
        answered(lake.glue, "GetTable") as tables,
        answered(lake.glue, "BatchGetPartition") as batches,
    ):
        assert complete_periods(sources, periods[::-1], **how) == alone[::-1]
    assert (len(tables), len(batches)) == (1, 0 if is_projected else 1)


def described(day: str) -> dict[str, Any]:
    return {"Values": [day], "StorageDescriptor": {"Location": "s3://lake/"}}


def test_partitions_that_glue_has_left_unprocessed_are_asked_for_again(lake: Lake) -> None:
    lake.create(DT, [[day] for day in DAYS[:-1]])
    left_over = [{"Values": [day]} for day in DAYS[2:]]
    first = {"Partitions": [described(day) for day in DAYS[:2]], "UnprocessedKeys": left_over}

    with answered(lake.glue, "BatchGetPartition", json_response(first)) as requests:
        assert look(lake).absent == (f"dt={DAYS[-1]}",)
    assert len(requests) == 2
    assert json.loads(requests[1].body)["PartitionsToGet"] == left_over


def test_a_glue_that_leaves_all_partitions_unprocessed_is_not_asked_without_end(lake: Lake) -> None:
    """Nor are they taken for missing ones: the task is tried again."""
    lake.create(DT, [[day] for day in DAYS])
    stuck = {"UnprocessedKeys": [{"Values": [day]} for day in DAYS]}

    with (
        answered(lake.glue, "BatchGetPartition", json_response(stuck)) as requests,
        pytest.raises(InputError) as caught,
    ):
        look(lake)
    assert str(caught.value) == (
        f"{lake.database}.plays: Glue returned 8 partitions as unprocessed. Try again later, or"
        " check the AWS Health Dashboard."
    )
    assert caught.value.retryable
    assert len(requests) == 1


def test_a_projection_answers_for_glue(lake: Lake) -> None:
    lake.create(DT, dt__type="date", dt__range="2025-06-23,NOW")
    found = look(lake)
    assert (found.outside, found.absent) == (tuple(f"dt={day}" for day in DAYS[:2]), ())


@pytest.mark.parametrize("location", ["s3://lake/plays/", ""])
def test_a_table_without_partitions_has_one_folder_and_a_view_has_none(
    lake: Lake, location: str
) -> None:
    table: Any = {"Name": "plays", "StorageDescriptor": {"Location": location}}
    lake.glue.create_table(DatabaseName=lake.database, TableInput=table)
    when: Any = {"late_by": timedelta(0), "now": NOW}
    where: Any = {"database": lake.database, "glue": lake.glue, "s3": NO_S3}
    (found,) = find_partitions([Input("plays", columns=())], WEEK, **when, **where)
    assert found.folders == ({"": location} if location else {})
    assert (found.coverage.needed, found.coverage.is_partitioned) == (0, False)


def test_glue_is_not_asked_for_a_table_of_another_catalog() -> None:
    source = Input("plays", columns=(), database="raw", catalog="s3tablescatalog/lake")
    nobody: Any = None
    when: Any = {"late_by": timedelta(0), "now": NOW}
    (found,) = find_partitions([source], WEEK, **when, database="lake", glue=nobody, s3=NO_S3)
    assert not found.folders
    coverage = found.coverage
    assert (coverage.catalog, coverage.table) == ("s3tablescatalog/lake", "raw.plays")
    assert not coverage.gaps


def must_be_there(case: Case, now: datetime) -> set[datetime]:
    """The hours of a clock whose events have landed, or begun to, at some time."""
    hours: set[datetime] = set()
    for period in case.read:
        end = period.end_utc
        if now >= end + case.late_by:
            end += case.late_by
        hours.update(hours_on_a_clock(case.zone, period.start_utc, min(end, now + INSTANT)))
    return hours


@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_needed_is_what_has_begun_by_any_clock(seeds: range) -> None:
    """In each layout, and for each value of `only`."""
    only = {"level": [1, 20]}
    for seed in seeds:
        case = random_case(seed)
        chance = random.Random(seed)
        length = case.period.end_utc - case.period.start_utc + case.late_by
        now = case.period.start_utc + chance.uniform(-0.1, 1.3) * length
        now = chance.choice([now, case.period.end_utc, case.period.end_utc + case.late_by])
        hours = must_be_there(case, now)
        for keys in some_layouts(seed):
            source = keys.source(
                zone=case.zone, previous=case.previous, last_year=case.last_year, only=only
            )
            needed = source.required_partitions(case.period, case.late_by, now)
            of_time = set(map(keys.values, hours))
            expected = {(*values, level) for values in of_time for level in ("1", "20")}
            assert set(needed) == expected, (case, str(keys), now)
            assert len(needed) == len(expected)


WAITED_FOR = Input("plays", wait=timedelta(days=1), missing="partial")


def with_done(missing: Literal["fail", "partial"], bucket: str) -> Input:
    done = f"s3://{bucket}/done/{{date}}"
    return Input("plays", wait=timedelta(days=1), missing=missing, done=done)


@pytest.mark.parametrize("is_projected", [False, True])
def test_a_partition_without_its_success_marker_is_missing(
    lake: Lake, s3: S3Client, bucket: str, is_projected: bool
) -> None:
    """So a query that is started when the wait is over knows of it."""
    if is_projected:
        lake.create(DT, dt__type="injected")
    else:
        lake.create(DT, [[day] for day in DAYS])
    for day in DAYS[1:]:
        s3.put_object(Bucket=bucket, Key=f"done/{day}")
    # Whose bucket it is, is not asked: the lake may belong to another account.
    look: Any = {"now": NOW, "glue": lake.glue, "s3": S3(s3, owner="999999999999")}
    asked: list[Any] = []
    s3.meta.events.register("provide-client-params.s3", lambda params, **_: asked.append(params))
    needs = [need_of(with_done(missing, bucket), lake) for missing in ("partial", "fail")]
    partial, fail = [coverage for coverage, _ in find_together(needs, **look)]
    assert partial.gaps == fail.gaps == [f"{lake.database}.plays/dt=2025-06-21"]
    require_partitions([partial])
    with pytest.raises(MissingPartitionsError) as refused:
        require_partitions([partial, fail])
    assert str(refused.value) == (
        f"{fail}. No query was started. Wait for them, or register them, then clear run_query; or"
        ' declare missing="partial".'
    )

    s3.put_object(Bucket=bucket, Key=f"done/{DAYS[0]}")
    assert [coverage.gaps for coverage, _ in find_together(needs, **look)] == [[], []]
    assert asked
    assert not [params for params in asked if "ExpectedBucketOwner" in params]


def test_the_values_of_only_are_no_part_of_a_success_marker(
    lake: Lake, s3: S3Client, bucket: str
) -> None:
    regions = ("jp", "us")
    keys = DT | {"region": "string"}
    lake.create(keys, [[day, name] for day in DAYS for name in regions])
    for day in DAYS[1:]:
        s3.put_object(Bucket=bucket, Key=f"done/{day}")
    need = need_of(replace(with_done("partial", bucket), only={"region": regions}), lake)
    ((found, _),) = find_together([need], now=NOW, glue=lake.glue, s3=S3(s3))
    assert found.not_done == tuple(f"dt={DAYS[0]}/region={name}" for name in regions)


def test_what_glue_lacks_and_what_has_no_marker_are_told_apart(
    lake: Lake, s3: S3Client, bucket: str
) -> None:
    lake.create(DT, [[day] for day in DAYS[1:]])
    for day in DAYS[2:]:
        s3.put_object(Bucket=bucket, Key=f"done/{day}")
    need = need_of(with_done("partial", bucket), lake)
    ((found, folders),) = find_together([need], now=NOW, glue=lake.glue, s3=S3(s3))
    assert (found.absent, found.not_done) == (("dt=2025-06-21",), ("dt=2025-06-22",))
    assert len(folders) == 7


def test_needs_of_one_table_are_answered_together_and_each_by_its_own_input(lake: Lake) -> None:
    lake.create(DT, [[day] for day in DAYS])
    sources = [
        WAITED_FOR,
        Input("plays", wait=timedelta(days=2)),
        Input("plays", zone="Asia/Tokyo"),
    ]
    needs = [need_of(source, lake, week) for source in sources for week in (WEEK, WEEK.next)]
    assert len({need.lookup for need in needs}) == 1
    with (
        answered(lake.glue, "GetTable") as tables,
        answered(lake.glue, "BatchGetPartition") as batches,
    ):
        together = find_together(needs, now=NOW, glue=lake.glue, s3=NO_S3)
    assert (len(tables), len(batches)) == (1, 1)
    alone = [find_together([need], now=NOW, glue=lake.glue, s3=NO_S3)[0] for need in needs]
    assert together == alone
    assert [len(coverage.gaps) for coverage, _ in together] == [0, 7, 0, 7, 0, 7]
