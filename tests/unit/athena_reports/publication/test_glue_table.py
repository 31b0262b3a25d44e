from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import SchemaError
from athena_reports.periods.calendar import monthly, weekly
from athena_reports.publication.glue_table import Table, TableError, published_tables
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition
from athena_reports.rows.columns import TableColumn
from tests.support.aws_errors import api_error
from tests.support.publishing import Place, facts
from tests.support.wire import answered, json_error, json_response

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

LOCATION = ReportLocation.of("reports", "plays", weekly())
FOLDER = "s3://reports/plays/weekly/2026-11-15/versions/v1/parquet/"


# By which every engine knows files of Parquet.
OF_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
def table(glue: GlueClient, database: str) -> Table:
    return Table(database, LOCATION, glue)


def columns(**types: str) -> list[TableColumn]:
    """Columns of a version, by name and Glue type."""
    return [TableColumn(name=name, type="of DuckDB", glue=type_) for name, type_ in types.items()]


def again(table: Table) -> Table:
    """The table as another run knows it."""
    return Table(table.database, table.location, table.glue)


def columns_of(table: Table) -> dict[str, str]:
    return {column.name: column.glue for column in again(table).columns() or ()}


def put(
    table: Table,
    version: Sequence[TableColumn],
    *,
    period_id: str = "2026-11-15",
    parameters: Mapping[str, str] | None = None,
    folder: str = FOLDER,
) -> None:
    again(table).put_partition(period_id, version, Partition(folder, parameters or {"rows": "1"}))


def partition(table: Table, period_id: str = "2026-11-15") -> Any:
    return table.glue.get_partition(
        DatabaseName=table.database, TableName=table.name, PartitionValues=[period_id]
    )["Partition"]


# --- the table and its partitions


def test_the_table_is_external_parquet_partitioned_by_period(table: Table) -> None:
    assert table.prepare(columns(User="string", score="bigint")) == {
        "user": "string",
        "score": "bigint",
    }
    found = table.glue.get_table(DatabaseName=table.database, Name="plays_weekly")["Table"]
    assert found["TableType"] == "EXTERNAL_TABLE"
    assert found["PartitionKeys"] == [{"Name": "period", "Type": "string"}]
    assert found["Parameters"] == {
        "EXTERNAL": "TRUE",
        "classification": "parquet",
        "written_by": "athena-reports",
    }
    types = [{"Name": "user", "Type": "string"}, {"Name": "score", "Type": "bigint"}]
    assert without_none(found["StorageDescriptor"]) == {
        "Columns": types,
        "Location": "s3://reports/plays/weekly/",
        **OF_PARQUET,
    }
    assert columns_of(table) == {"user": "string", "score": "bigint"}
    put(table, columns(User="string", score="bigint"))
    assert partition(table)["Values"] == ["2026-11-15"]
    assert without_none(partition(table)["StorageDescriptor"]) == {
        "Columns": types,
        "Location": FOLDER,
        **OF_PARQUET,
    }


def test_a_partition_that_is_marked_keeps_all_else_that_it_says(table: Table) -> None:
    put(table, columns(score="bigint"), parameters={"rows": "1", "version": "v1", "broken": ""})
    put(table, columns(score="bigint"), period_id="2026-11-22")
    before = partition(table)
    table.mark_broken("2026-11-15", table.partitions()["2026-11-15"], "it is gone")
    after = partition(table)
    assert after["Parameters"] == before["Parameters"] | {"broken": "it is gone"}
    assert after["StorageDescriptor"] == before["StorageDescriptor"]
    assert after["Values"] == before["Values"]
    assert "broken" not in partition(table, "2026-11-22")["Parameters"]


def test_only_the_partition_that_was_found_broken_is_marked(table: Table) -> None:
    for period_id in ("2026-11-15", "2026-11-22"):
        put(table, columns(score="bigint"), period_id=period_id)
    listed = table.partitions()["2026-11-15"]
    table.mark_broken("2026-11-15", listed, "its manifest is missing")
    marked = {period_id: each.parameters for period_id, each in table.partitions().items()}
    assert marked["2026-11-22"] == {"rows": "1"}
    assert marked["2026-11-15"] == {"rows": "1", "broken": "its manifest is missing"}
    # A publication that writes it meanwhile makes it whole again.
    put(table, columns(score="bigint"), parameters={"rows": "2"})
    table.mark_broken("2026-11-15", listed, "its manifest is missing")
    assert table.partitions()["2026-11-15"].parameters == {"rows": "2"}
    # What was broken for another reason is broken for this one now.
    table.mark_broken("2026-11-15", Partition("", {"rows": "2"}), "one")
    table.mark_broken("2026-11-15", Partition("", {"rows": "2", "broken": "one"}), "two")
    assert table.partitions()["2026-11-15"].parameters == {"rows": "2", "broken": "two"}


def test_a_partition_is_put_whether_it_is_there_or_not(table: Table) -> None:
    for folder, facts_ in (
        ("s3://reports/before/", {"rows": "1"}),
        (FOLDER, {"rows": "7", "version": "v1"}),
    ):
        put(table, columns(score="bigint"), parameters=facts_, folder=folder)
        assert table.partitions() == {"2026-11-15": Partition(folder, facts_)}


def test_without_a_table_or_a_database_there_are_no_partitions_and_columns(
    glue: GlueClient, table: Table
) -> None:
    for absent in (table, Table("no_such_database", LOCATION, glue)):
        assert absent.partitions() == {}
        assert absent.columns() is None


def test_a_table_without_columns_tells_none(table: Table) -> None:
    put(table, columns(score="bigint"))
    stored = table.glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]
    stored["StorageDescriptor"]["Columns"] = []
    kept = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    without: Any = {name: stored[name] for name in kept}  # type: ignore[literal-required]
    table.glue.update_table(DatabaseName=table.database, TableInput=without)
    assert again(table).columns() is None
    assert set(table.partitions()) == {"2026-11-15"}


def test_the_tables_of_ours_are_found_among_others_and_copies(tabled: Place) -> None:
    table = tabled.table
    assert table is not None
    tabled.publish(tabled.upload("a"), facts())
    put(table, columns(user_id="bigint"), period_id="by hand")
    location = ReportLocation.of("reports", "carriers", monthly())
    Table(table.database, location, table.glue).prepare(columns(score="bigint"))
    table.glue.create_table(DatabaseName=table.database, TableInput={"Name": "of_somebody_else"})
    ours = {"written_by": "athena-reports"}
    for name, folder, parameters in (
        ("copy", "s3://reports/plays/weekly/", ours),
        ("plays_copy", "s3://elsewhere", ours),
        ("flights_weekly", "s3://reports/flights/weekly/old/", ours),
        ("games_weekly", "s3://reports/games/weekly/", {"written_by": "somebody else"}),
    ):
        copy: Any = {
            "Name": name,
            "Parameters": parameters,
            "StorageDescriptor": {"Columns": [], "Location": folder},
        }
        table.glue.create_table(DatabaseName=table.database, TableInput=copy)

    found = published_tables(table.database, table.glue)
    carriers, plays = sorted(found, key=attrgetter("name"))
    assert (carriers.name, carriers.published_periods()) == ("carriers_monthly", {})
    assert (plays.name, list(plays.published_periods())) == ("plays_weekly", ["2026-11-15"])
    assert plays.published_periods()["2026-11-15"].query_id == facts().query.id


def comments_of(table: Table) -> dict[str, str]:
    found = table.glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]
    return {each["Name"]: each.get("Comment", "") for each in found["StorageDescriptor"]["Columns"]}


def test_the_table_says_what_its_columns_mean_as_it_was_published_last(table: Table) -> None:
    def described(**said: str) -> list[TableColumn]:
        return [
            TableColumn(name=name, type="", glue="bigint", description=text)
            for name, text in said.items()
        ]

    table.prepare(described(Score="points won", plays=""), commented=True)
    assert comments_of(table) == {"score": "points won", "plays": ""}
    again(table).prepare(described(score="points (sum)", plays="their number"), commented=True)
    again(table).prepare(described(score="points", plays="their number"), commented=True)
    assert comments_of(table) == {"score": "points", "plays": "their number"}
    again(table).prepare(described(score="points (sum)", plays="their number"), commented=True)
    put(table, described(score="points won", plays=""))  # the repair of an older period
    assert comments_of(table) == {"score": "points (sum)", "plays": "their number"}
    again(table).prepare(columns(score="bigint", rank="int"), commented=True)
    assert comments_of(table) == {"score": "points (sum)", "plays": "their number", "rank": ""}


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
        put(table, columns(score=kind), period_id=period_id)
        assert columns_of(table) == {"score": expected}
        assert partition(table, period_id)["StorageDescriptor"]["Columns"][0]["Type"] == kind


def test_a_table_that_puts_several_periods_is_widened_for_each(table: Table) -> None:
    """A cleanup repairs the partitions of all periods by one object."""
    for period_id, kind in (("2026-11-01", "int"), ("2026-11-08", "bigint"), ("2026-11-15", "int")):
        table.put_partition(period_id, columns(score=kind), Partition(FOLDER, {"rows": "1"}))
        assert partition(table, period_id)["StorageDescriptor"]["Columns"][0]["Type"] == kind
    assert columns_of(table) == {"score": "bigint"}
    assert table.prepare(columns(score="bigint")) == {"score": "bigint"}


@pytest.mark.parametrize(("one", "other"), [*CLASHING, *((b, a) for a, b in CLASHING)])
def test_a_type_that_does_not_fit_is_refused_with_both(table: Table, one: str, other: str) -> None:
    table.prepare(columns(id="bigint", score=one))

    with pytest.raises(SchemaError) as caught:
        again(table).prepare(columns(id="bigint", score=other))
    for part in ("plays_weekly", "'score'", f"id bigint, score {one}", f"id bigint, score {other}"):
        assert part in str(caught.value)
    assert columns_of(table) == {"id": "bigint", "score": one}


def test_columns_may_come_and_go_and_keep_their_place(table: Table) -> None:
    put(table, columns(id="bigint", name="string"))
    put(table, columns(more="double", id="bigint"), period_id="2026-11-22")

    assert list(columns_of(table)) == ["id", "name", "more"]
    declared = partition(table, "2026-11-22")["StorageDescriptor"]["Columns"]
    assert [column["Name"] for column in declared] == ["id", "name", "more"]
    assert [column["Name"] for column in partition(table)["StorageDescriptor"]["Columns"]] == [
        "id",
        "name",
    ]


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (columns(Period="string"), "'Period' has the name of the partition key.*AS"),
        ([TableColumn(name="at", type="TIME", glue="")], r"'at' is a TIME.*CAST"),
    ],
)
def test_a_column_that_has_no_place_is_refused_before_glue_is_asked(
    version: list[TableColumn], says: str
) -> None:
    with pytest.raises(SchemaError, match=says):
        Table("no_such_database", LOCATION, None).prepare(version)  # type: ignore[arg-type]


# --- what goes wrong


@pytest.mark.parametrize(
    ("parameters", "folder"),
    [
        ({}, "s3://reports/plays/weekly/"),
        ({"written_by": "somebody"}, "s3://reports/plays/weekly/"),
        ({"written_by": "athena-reports"}, "s3://reports-prd/plays/weekly/"),
    ],
)
def test_a_table_of_somebody_else_or_another_environment_is_refused(
    table: Table, parameters: dict[str, str], folder: str
) -> None:
    theirs: Any = {
        "Parameters": parameters,
        "StorageDescriptor": {"Columns": [], "Location": folder},
    }
    table.glue.create_table(DatabaseName=table.database, TableInput={"Name": table.name, **theirs})

    with pytest.raises(
        TableError, match=r"plays_weekly is not the table of s3://reports/.*_REPORT_DATABASE"
    ) as caught:
        table.prepare(columns(score="bigint"))
    assert folder in str(caught.value)
    assert not caught.value.retryable


def test_a_database_that_is_not_there_is_said_with_what_to_do(glue: GlueClient) -> None:
    with pytest.raises(
        TableError, match=r"no_such_database.*Create the database.*ATHENA_REPORTS_REPORT_DATABASE"
    ):
        Table("no_such_database", LOCATION, glue).prepare(columns(score="bigint"))
    with pytest.raises(TableError, match=r"no_such_database.*Create the database"):
        list(published_tables("no_such_database", glue))


def refusal(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


@pytest.mark.parametrize(
    ("error", "retryable", "says"),
    [
        (
            refusal("AccessDeniedException", "not authorized"),
            False,
            "role in IAM and in Lake Formation",
        ),
        (refusal("ThrottlingException", "Rate exceeded"), True, "Rate exceeded"),
        (refusal("InternalServiceException"), True, "InternalServiceException"),
        (refusal("InvalidInputException", "bad"), False, "bad"),
        (ConnectTimeoutError(endpoint_url="http://glue"), True, "Connect timeout"),
    ],
)
def test_a_refusal_says_whether_and_what_helps(
    table: Table, error: Exception, retryable: bool, says: str
) -> None:
    def refuse() -> None:
        raise error

    refusing: Any = Refusing(table.glue, "get_table", refuse)
    with pytest.raises(TableError, match=rf"plays_weekly: .*{says}") as caught:
        Table("reports", LOCATION, refusing).prepare(columns(score="bigint"))
    assert caught.value.retryable is retryable


CREATE = " Create the database, or set ATHENA_REPORTS_REPORT_DATABASE to another one."
ALLOW = " Allow it for the connection's role in IAM and in Lake Formation."
REFUSALS = {  # by code: whether it may pass, and the advice
    "EntityNotFoundException": (True, CREATE),
    "AccessDeniedException": (False, ALLOW),
    "InvalidInputException": (False, ""),
    "ValidationException": (False, ""),
    "AlreadyExistsException": (True, ""),
    "ConcurrentModificationException": (True, ""),
    "VersionMismatchException": (True, ""),
    "ThrottlingException": (True, ""),
    "OperationTimeoutException": (True, ""),
    "ResourceNotReadyException": (True, ""),
    "GlueEncryptionException": (True, ""),
    "FederationSourceException": (True, ""),
    "FederationSourceRetryableException": (True, ""),
    "InvalidStateException": (True, ""),
    "ResourceNumberLimitExceededException": (True, ""),
    "SomethingNew": (False, ""),
}


@given(st.sampled_from(sorted(REFUSALS)), st.text())
def test_every_code_of_glue_has_its_advice_and_whether_it_may_pass(code: str, message: str) -> None:
    retryable, advice = REFUSALS[code]
    error = api_error(code, message)
    client: Any = Mock(get_paginator=Mock(side_effect=error))
    with pytest.raises(TableError) as caught:
        list(published_tables("reports", client))

    assert caught.value.retryable is retryable
    assert (
        str(caught.value) == f"Glue database reports: its tables cannot be listed: {error}.{advice}"
    )


class Refusing:
    """A client of Glue whose first calls of one kind have answers of the test's own."""

    def __init__(self, client: GlueClient, call: str, *answers: Callable[[], object]) -> None:
        self._client, self._call, self._answers = client, call, list(answers)

    def __getattr__(self, name: str) -> Any:
        if name == self._call and self._answers:
            return lambda **_: self._answers.pop(0)()
        return getattr(self._client, name)


@pytest.mark.parametrize("code", ["AlreadyExistsException", "ConcurrentModificationException"])
@pytest.mark.parametrize("call", ["create_table", "update_table"])
def test_what_another_run_creates_or_adds_meanwhile_is_not_lost(
    table: Table, call: str, code: str
) -> None:
    """Glue refuses an update of another version than the present one; here the service does not."""
    if call == "update_table":
        table.prepare(columns(score="int"))

    def meddle() -> None:
        table.prepare(columns(score="int", theirs="string"))
        raise refusal(code)

    other: Any = Table(table.database, LOCATION, Refusing(table.glue, call, meddle))  # type: ignore[arg-type]
    expected = {"score": "bigint", "theirs": "string", "ours": "string"}
    assert other.prepare(columns(score="bigint", ours="string")) == expected == columns_of(table)


def test_an_update_names_the_version_that_it_is_of_and_keeps_what_others_wrote() -> None:
    client = boto3.session.Session().client("glue")
    parameters = {"written_by": "athena-reports", "owner": "analytics"}

    def described(**column: str) -> dict[str, Any]:
        score = {"Name": "score", "Comment": "points", **column}
        descriptor = {"Columns": [score], "Location": "s3://reports/plays/weekly/"}
        about = {
            "Name": "plays_weekly",
            "Description": "about plays",
            "Owner": "analytics",
            "Retention": 7,
            "PartitionKeys": [{"Name": "period", "Type": "string"}],
            "TableType": "EXTERNAL_TABLE",
        }
        return {**about, "Parameters": parameters, "StorageDescriptor": descriptor}

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
            {"Values": [period_id], "StorageDescriptor": {"Location": FOLDER}, "Parameters": {}}
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
        pytest.raises(TableError, match=r"cannot be listed: .*ThrottlingException") as caught,
    ):
        table.partitions()
    assert caught.value.retryable


def test_the_tables_of_all_pages_are_found(table: Table) -> None:
    table.prepare(columns(score="bigint"))
    (stored,) = table.glue.get_tables(DatabaseName=table.database)["TableList"]
    listed = {
        name: stored[name] for name in ("Name", "Parameters", "StorageDescriptor", "PartitionKeys")
    }
    pages = [{"TableList": [{"Name": "other"}], "NextToken": "a"}, {"TableList": [listed]}]
    with answered(table.glue, "GetTables", *map(json_response, pages)):
        (found,) = published_tables(table.database, table.glue)
    assert found.name == table.name


def test_a_partition_that_is_gone_between_two_calls_may_be_put_again(table: Table) -> None:
    """CreatePartition says that it is there, and somebody drops it before UpdatePartition."""
    put(table, columns(score="bigint"))
    exists = json_error("AlreadyExistsException", "Partition already exists.")
    table.glue.delete_partition(
        DatabaseName=table.database, TableName=table.name, PartitionValues=["2026-11-15"]
    )
    with (
        answered(table.glue, "CreatePartition", exists),
        pytest.raises(TableError, match="the period cannot be written to it") as caught,
    ):
        put(table, columns(score="bigint"))
    assert caught.value.retryable
    put(table, columns(score="bigint"))
    assert list(table.partitions()) == ["2026-11-15"]


def test_a_table_that_another_run_changes_at_the_same_time_is_read_again(table: Table) -> None:
    """UpdateTable is answered by ConcurrentModificationException, with the status 400."""
    put(table, columns(score="int"))
    changed = json_error("ConcurrentModificationException", "Update table failed.")
    with answered(table.glue, "UpdateTable", changed) as requests:
        put(table, columns(score="bigint"))
    assert len(requests) == 2
    assert columns_of(table) == {"score": "bigint"}


def test_a_listing_that_glue_leaves_out_since_it_is_empty_is_empty(table: Table) -> None:
    """The API reference requires neither `Partitions` nor `TableList` in a response."""
    put(table, columns(score="bigint"))
    listed = table.partitions()["2026-11-15"]
    with (
        answered(table.glue, "GetPartitions", json_response({}), json_response({})),
        answered(table.glue, "GetTables", json_response({})),
        answered(table.glue, "UpdatePartition") as updates,
    ):
        assert table.partitions() == {}
        table.mark_broken("2026-11-15", listed, "its manifest is missing")
        assert list(published_tables(table.database, table.glue)) == []
    assert updates == []


def test_a_partition_of_others_without_a_folder_and_parameters_is_listed(table: Table) -> None:
    """The API reference requires neither `Location` nor `Parameters` in a partition."""
    page = {"Partitions": [{"Values": ["of others"], "StorageDescriptor": {}}]}
    with answered(table.glue, "GetPartitions", json_response(page)):
        assert table.partitions() == {"of others": ("", {})}
