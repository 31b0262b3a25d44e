"""The Glue table of a report: its columns, its partitions, and who else writes them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from athena_reports.aws.errors import error_kind
from athena_reports.errors import SchemaError
from athena_reports.periods.calendar import monthly, weekly
from athena_reports.publication.glue_table import Table, TableError, published_tables
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition
from athena_reports.rows.columns import TableColumn
from tests.support.aws_errors import api_error
from tests.support.partition_facts import facts
from tests.support.wire import answered, json_error, json_response

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

LOCATION = ReportLocation.of("reports", "plays", weekly())
WEEK = weekly().period("2026-11-15")
FOLDER = "s3://reports/plays/weekly/2026-11-15/versions/v1/parquet/"
OURS = {"written_by": "athena-reports"}
# By which every engine knows files of Parquet.
OF_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}


@pytest.fixture
def table(glue: GlueClient, database: str) -> Table:
    return Table(database, LOCATION, glue)


def columns(**types: str) -> list[TableColumn]:
    """Columns of a version, by name and Glue type."""
    return [TableColumn(name=name, type="of DuckDB", glue=type_) for name, type_ in types.items()]


def types_of(table: Table) -> dict[str, str]:
    return {column.name: column.glue for column in table.columns() or ()}


def put(
    table: Table, version: Sequence[TableColumn], period_id: str = WEEK.id, **changes: Any
) -> Partition:
    """Put the partition of a period."""
    partition = Partition(FOLDER, facts(weekly().period(period_id), **changes))
    table.put_partition(period_id, version, partition)
    return partition


def stored_table(table: Table) -> Any:
    return table.glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]


def stored_partition(table: Table, period_id: str = WEEK.id) -> Any:
    return table.glue.get_partition(
        DatabaseName=table.database, TableName=table.name, PartitionValues=[period_id]
    )["Partition"]


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# --- the table and its partitions


def test_the_table_is_external_parquet_partitioned_by_period(table: Table) -> None:
    put(table, columns(User="string", score="bigint"))
    stored = stored_table(table)
    assert stored["TableType"] == "EXTERNAL_TABLE"
    assert stored["PartitionKeys"] == [{"Name": "period", "Type": "string"}]
    assert stored["Parameters"] == {"EXTERNAL": "TRUE", "classification": "parquet", **OURS}
    types = [{"Name": "user", "Type": "string"}, {"Name": "score", "Type": "bigint"}]
    assert without_none(stored["StorageDescriptor"]) == {
        "Columns": types,
        "Location": "s3://reports/plays/weekly/",
        **OF_PARQUET,
    }
    assert types_of(table) == {"user": "string", "score": "bigint"}
    assert stored_partition(table)["Values"] == [WEEK.id]
    assert without_none(stored_partition(table)["StorageDescriptor"]) == {
        "Columns": types,
        "Location": FOLDER,
        **OF_PARQUET,
    }


def test_a_partition_is_put_whether_it_exists_or_not(table: Table) -> None:
    for rows in (1, 7):
        partition = put(table, columns(score="bigint"), rows=rows)
        assert table.partitions() == {WEEK.id: partition}
        assert table.published_periods() == {WEEK.id: partition.facts}


def test_only_the_partition_that_was_broken_when_it_was_listed_is_marked(table: Table) -> None:
    for period_id in (WEEK.id, WEEK.next.id):
        put(table, columns(score="bigint"), period_id)
    listed = table.partitions()[WEEK.id]
    before = stored_partition(table)["StorageDescriptor"]
    table.mark_broken(WEEK.id, listed, "its manifest is missing")
    assert stored_partition(table)["StorageDescriptor"] == before
    marked = table.published_periods()
    assert marked[WEEK.id] == facts(WEEK, broken="its manifest is missing")
    assert marked[WEEK.next.id].broken == ""
    # A publication that writes it meanwhile makes it whole again.
    put(table, columns(score="bigint"), rows=2)
    table.mark_broken(WEEK.id, listed, "its manifest is missing")
    assert table.published_periods()[WEEK.id] == facts(WEEK, rows=2)


def test_without_a_table_or_a_database_there_are_no_partitions_and_columns(
    glue: GlueClient, table: Table
) -> None:
    for absent in (table, Table("no_such_database", LOCATION, glue)):
        assert absent.partitions() == {}
        assert absent.columns() is None


def test_the_tables_of_ours_are_found_among_others_and_copies(table: Table) -> None:
    partition = put(table, columns(score="bigint"))
    table.glue.create_partition(
        DatabaseName=table.database,
        TableName=table.name,
        PartitionInput={"Values": ["by hand"], "StorageDescriptor": {"Location": FOLDER}},
    )
    location = ReportLocation.of("reports", "carriers", monthly())
    Table(table.database, location, table.glue).prepare(columns(score="bigint"))
    table.glue.create_table(DatabaseName=table.database, TableInput={"Name": "of_somebody_else"})
    for name, folder, parameters in (
        ("copy", "s3://reports/plays/weekly/", OURS),
        ("plays_copy", "s3://elsewhere", OURS),
        ("flights_weekly", "s3://reports/flights/weekly/old/", OURS),
        ("games_weekly", "s3://reports/games/weekly/", {"written_by": "somebody else"}),
    ):
        create(table, name=name, folder=folder, parameters=parameters)

    carriers, plays = sorted(published_tables(table.database, table.glue), key=attrgetter("name"))
    assert (carriers.name, carriers.published_periods()) == ("carriers_monthly", {})
    assert (plays.name, plays.partitions()) == ("plays_weekly", {WEEK.id: partition})


def create(table: Table, *, name: str, folder: str, parameters: Mapping[str, str]) -> None:
    theirs: Any = {
        "Name": name,
        "Parameters": parameters,
        "StorageDescriptor": {"Columns": [], "Location": folder},
    }
    table.glue.create_table(DatabaseName=table.database, TableInput=theirs)


def test_the_comments_of_the_columns_are_the_descriptions_of_the_last_publication(
    table: Table,
) -> None:
    def described(**descriptions: str) -> list[TableColumn]:
        return [
            TableColumn(name=name, type="", glue="bigint", description=description)
            for name, description in descriptions.items()
        ]

    def comments() -> dict[str, str]:
        stored = stored_table(table)["StorageDescriptor"]["Columns"]
        return {column["Name"]: column.get("Comment", "") for column in stored}

    table.prepare(described(Score="points won", plays=""), commented=True)
    assert comments() == {"score": "points won", "plays": ""}
    table.prepare(described(score="points (sum)", plays="their number"), commented=True)
    assert comments() == {"score": "points (sum)", "plays": "their number"}
    put(table, described(score="points won", plays=""))  # the repair of an older period
    assert comments() == {"score": "points (sum)", "plays": "their number"}
    table.prepare(columns(score="bigint", rank="int"), commented=True)
    assert comments() == {"score": "points (sum)", "plays": "their number", "rank": ""}


# --- columns that change


WIDENING = [
    *itertools.pairwise(["tinyint", "smallint", "int", "bigint"]),
    *(("tinyint", "bigint"), ("float", "double")),
    *(("decimal(10,2)", wide) for wide in ("decimal(11,2)", "decimal(12,4)")),
]
CLASHING = [
    *(("bigint", other) for other in ("string", "double", "decimal(38,0)")),
    *(("decimal(10,2)", other) for other in ("decimal(11,4)", "decimal(10,1)")),
    *(("date", "timestamp"), ("array<int>", "array<bigint>")),
]


@pytest.mark.parametrize(("narrow", "wide"), WIDENING)
def test_a_type_is_widened_and_never_narrowed(table: Table, narrow: str, wide: str) -> None:
    for period_id, kind, expected in (
        ("2026-11-01", narrow, narrow),
        ("2026-11-08", wide, wide),
        ("2026-11-15", narrow, wide),
    ):
        put(table, columns(score=kind), period_id)
        assert types_of(table) == {"score": expected}
        assert stored_partition(table, period_id)["StorageDescriptor"]["Columns"] == [
            {"Name": "score", "Type": kind}
        ]


@pytest.mark.parametrize(("one", "other"), CLASHING)
def test_a_type_that_does_not_fit_is_refused_with_both(table: Table, one: str, other: str) -> None:
    table.prepare(columns(id="bigint", score=one))

    with pytest.raises(SchemaError) as caught:
        table.prepare(columns(id="bigint", score=other))
    assert str(caught.value) == (
        f"Glue table {table.database}.plays_weekly: column 'score' cannot change from {one} to "
        f"{other}. CAST or rename the column. Nothing was published."
    )
    assert types_of(table) == {"id": "bigint", "score": one}


def test_columns_may_come_and_go_and_keep_their_place(table: Table) -> None:
    put(table, columns(id="bigint", name="string"))
    put(table, columns(more="double", id="bigint"), WEEK.next.id)

    assert list(types_of(table)) == ["id", "name", "more"]
    declared = stored_partition(table, WEEK.next.id)["StorageDescriptor"]["Columns"]
    assert [column["Name"] for column in declared] == ["id", "name", "more"]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (TableColumn(name="Period", type="VARCHAR", glue="string"), "Rename it in the SQL"),
        (TableColumn(name="at", type="TIME", glue=""), "'at' has type TIME, .*CAST"),
    ],
)
def test_a_column_that_has_no_place_is_refused_before_glue_is_called(
    column: TableColumn, says: str
) -> None:
    with pytest.raises(SchemaError, match=says):
        Table("no_such_database", LOCATION, None).prepare([column])  # type: ignore[arg-type]


# --- what goes wrong


@pytest.mark.parametrize(
    ("parameters", "folder"),
    [
        ({"written_by": "somebody"}, "s3://reports/plays/weekly/"),
        (OURS, "s3://reports-prd/plays/weekly/"),
    ],
)
def test_a_table_of_somebody_else_or_another_environment_is_refused(
    table: Table, parameters: dict[str, str], folder: str
) -> None:
    create(table, name=table.name, folder=folder, parameters=parameters)
    problem = rf"is not the table for {LOCATION.folder_uri}.*'{folder}'.*_REPORT_DATABASE"
    with pytest.raises(TableError, match=problem) as caught:
        table.prepare(columns(score="bigint"))
    assert not caught.value.retryable


@pytest.mark.parametrize("code", ["EntityNotFoundException", "AccessDeniedException"])
def test_a_refusal_has_its_advice_and_whether_it_may_pass(table: Table, code: str) -> None:
    with (
        answered(table.glue, "CreateTable", json_error(code, "Not now.")),
        pytest.raises(TableError) as caught,
    ):
        table.prepare(columns(score="bigint"))
    kind = error_kind(api_error(code))
    assert kind.advice
    assert str(caught.value) == (
        f"Glue table {table.database}.plays_weekly: An error occurred ({code}) when calling the"
        f" CreateTable operation: Not now. {kind.advice}"
    )
    assert caught.value.retryable is kind.retryable


@pytest.mark.parametrize("code", ["AlreadyExistsException", "ConcurrentModificationException"])
@pytest.mark.parametrize("call", ["CreateTable", "UpdateTable"])
def test_what_another_run_creates_or_adds_meanwhile_is_not_lost(
    table: Table, call: str, code: str
) -> None:
    """Glue refuses an update of another version than the present one; here the service does not."""
    if call == "UpdateTable":
        table.prepare(columns(score="int"))
    events = table.glue.meta.events

    def meddle(**_: Any) -> None:
        events.unregister(f"before-call.glue.{call}", meddle)
        table.prepare(columns(score="int", theirs="string"))
        raise api_error(code)

    events.register(f"before-call.glue.{call}", meddle)
    table.prepare(columns(score="bigint", ours="string"))
    assert types_of(table) == {"score": "bigint", "theirs": "string", "ours": "string"}


def test_an_update_names_the_version_that_it_is_of_and_keeps_what_others_wrote() -> None:
    client = boto3.session.Session().client("glue")

    def described(**column: str) -> dict[str, Any]:
        score = {"Name": "score", "Comment": "points", **column}
        return {
            "Name": "plays_weekly",
            "Description": "about plays",
            "Owner": "analytics",
            "Retention": 7,
            "PartitionKeys": [{"Name": "period", "Type": "string"}],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {**OURS, "owner": "analytics"},
            "StorageDescriptor": {"Columns": [score], "Location": "s3://reports/plays/weekly/"},
        }

    with Stubber(client) as stubber:
        stubber.add_response("get_table", {"Table": {**described(Type="int"), "VersionId": "7"}})
        expected = {
            "DatabaseName": "reports",
            "VersionId": "7",
            "TableInput": described(Type="bigint"),
        }
        stubber.add_response("update_table", {}, expected)
        Table("reports", LOCATION, client).prepare(columns(score="bigint"))
        stubber.assert_no_pending_responses()


def partitions_page(*period_ids: str, token: str = "") -> dict[str, Any]:
    """A page of GetPartitions; Glue need not send the list of an empty one."""
    page: dict[str, Any] = {}
    if period_ids:
        page["Partitions"] = [
            {
                "Values": [period_id],
                "StorageDescriptor": {"Location": FOLDER},
                "Parameters": facts(weekly().period(period_id)).as_parameters(),
            }
            for period_id in period_ids
        ]
    if token:
        page["NextToken"] = token
    return page


def test_the_pages_of_a_listing_are_all_read_empty_ones_too(table: Table) -> None:
    """Glue may send any number of partitions in a page, and an empty page before others."""
    pages = [
        partitions_page("2026-11-01", "2026-11-08", token="a"),
        partitions_page(token="b"),
        partitions_page("2026-11-15"),
    ]
    with answered(table.glue, "GetPartitions", *map(json_response, pages)) as requests:
        assert list(table.partitions()) == ["2026-11-01", "2026-11-08", "2026-11-15"]
    assert len(requests) == 3


def test_a_listing_that_is_throttled_in_the_middle_gives_no_part_as_the_whole(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    first = json_response(partitions_page("2026-11-01", token="a"))
    throttled = [json_error("ThrottlingException", "Rate exceeded") for _ in range(9)]
    with (
        answered(table.glue, "GetPartitions", first, *throttled),
        pytest.raises(TableError) as caught,
    ):
        table.partitions()
    assert caught.value.retryable


def test_a_partition_that_is_gone_between_two_calls_may_be_put_again(table: Table) -> None:
    """CreatePartition says that it exists, and somebody drops it before UpdatePartition."""
    table.prepare(columns(score="bigint"))
    exists = json_error("AlreadyExistsException", "Partition already exists.")
    with (
        answered(table.glue, "CreatePartition", exists),
        pytest.raises(TableError) as caught,
    ):
        put(table, columns(score="bigint"))
    assert caught.value.retryable
    put(table, columns(score="bigint"))
    assert list(table.partitions()) == [WEEK.id]
