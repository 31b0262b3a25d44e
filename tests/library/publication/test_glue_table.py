from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber

from athena_reports.errors import PublishError, SchemaError
from athena_reports.publication.glue_table import Partition, Table, TableError, published_tables
from athena_reports.publication.location import Location
from athena_reports.rows.columns import Column
from tests.library.publication.publishing import Place, facts

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

LOCATION = Location("reports", "plays", "weekly", "2026-11-15")
FOLDER = "s3://reports/plays/weekly/2026-11-15/versions/v1/parquet/"


@pytest.fixture
def table(glue: GlueClient, database: str) -> Table:
    return Table(database, LOCATION, glue)


def columns(**types: str) -> list[Column]:
    """Columns of a version, by name and Glue type."""
    return [Column(name=name, type="of DuckDB", glue=type_) for name, type_ in types.items()]


def again(table: Table) -> Table:
    """The table as another run knows it."""
    return Table(table.database, table.location, table.glue)


def columns_of(table: Table) -> dict[str, str]:
    return {column.name: column.glue for column in again(table).columns() or ()}


def put(
    table: Table,
    version: Sequence[Column],
    *,
    period_id: str = "2026-11-15",
    parameters: Mapping[str, str] | None = None,
    folder: str = FOLDER,
) -> None:
    again(table).put_partition(period_id, version, Partition(folder, parameters or {"rows": "1"}))


def partition(table: Table, period_id: str = "2026-11-15") -> Any:
    return table.glue.get_partition(DatabaseName=table.database, TableName=table.name, PartitionValues=[period_id])[
        "Partition"
    ]


# --- the table and its partitions


def test_the_table_is_external_parquet_partitioned_by_period(table: Table) -> None:
    assert table.prepare(columns(User="string", score="bigint")) == {"user": "string", "score": "bigint"}
    found = table.glue.get_table(DatabaseName=table.database, Name="plays_weekly")["Table"]
    assert found["TableType"] == "EXTERNAL_TABLE"
    assert found["PartitionKeys"] == [{"Name": "period", "Type": "string"}]
    assert found["Parameters"] == {
        "EXTERNAL": "TRUE",
        "classification": "parquet",
        "written_by": "athena-reports",
    }
    assert found["StorageDescriptor"]["Location"] == "s3://reports/plays/weekly/"
    assert "ParquetHiveSerDe" in found["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]
    assert columns_of(table) == {"user": "string", "score": "bigint"}


@pytest.mark.parametrize("is_there", [False, True])
def test_a_partition_is_put_whether_it_is_there_or_not(table: Table, is_there: bool) -> None:
    version = columns(score="bigint")
    if is_there:
        put(table, version, folder="s3://reports/before/")

    put(table, version, parameters={"rows": "7", "version": "v1"})
    assert table.partitions() == {"2026-11-15": Partition(FOLDER, {"rows": "7", "version": "v1"})}


def test_there_are_no_partitions_and_columns_where_there_is_no_table_or_no_database(
    glue: GlueClient, table: Table
) -> None:
    for absent in (table, Table("no_such_database", LOCATION, glue)):
        assert absent.partitions() == {}
        assert absent.columns() is None


def test_the_tables_of_ours_are_found_among_others_and_copies(tabled: Place) -> None:
    table = tabled.table
    assert table is not None
    tabled.publish(tabled.upload("a"), facts())
    put(table, columns(user_id="bigint"), period_id="by hand")
    Table(table.database, Location("reports", "carriers", "monthly", ""), table.glue).prepare(columns(score="bigint"))
    table.glue.create_table(DatabaseName=table.database, TableInput={"Name": "of_somebody_else"})
    for name, folder in (("copy", "s3://reports/plays/weekly/"), ("plays_copy", "s3://elsewhere")):
        table.glue.create_table(
            DatabaseName=table.database,
            TableInput={
                "Name": name,
                "Parameters": {"written_by": "athena-reports"},
                "StorageDescriptor": {"Columns": [], "Location": folder},
            },
        )

    found = {each.name: each.published_periods() for each in published_tables(table.database, table.glue)}
    assert {name: list(periods) for name, periods in found.items()} == {
        "plays_weekly": ["2026-11-15"],
        "carriers_monthly": [],
    }
    assert found["plays_weekly"]["2026-11-15"].query_id == "query of run-1"


def test_tables_of_a_database_that_is_not_there_are_an_error(glue: GlueClient) -> None:
    with pytest.raises(TableError, match="Create the database no_such_database"):
        list(published_tables("no_such_database", glue))


def test_a_table_that_is_deleted_meanwhile_is_said(table: Table) -> None:
    table.prepare(columns(score="bigint"))
    table.glue.delete_table(DatabaseName=table.database, Name=table.name)

    with pytest.raises(TableError, match=r"plays_weekly was deleted meanwhile.*Clear publish") as caught:
        table.put_partition("2026-11-15", columns(score="bigint"), Partition(FOLDER, {}))
    assert caught.value.retryable


# --- columns that change


WIDENING = [
    *itertools.combinations(["tinyint", "smallint", "int", "bigint"], 2),
    ("float", "double"),
    ("decimal(10,2)", "decimal(11,2)"),
    ("decimal(10,2)", "decimal(12,4)"),
]
CLASHING = [
    ("bigint", "string"),
    ("bigint", "double"),
    ("int", "float"),
    ("bigint", "decimal(38,0)"),
    ("decimal(10,2)", "decimal(11,4)"),
    ("decimal(10,2)", "decimal(10,1)"),
    ("date", "timestamp"),
    ("array<int>", "array<bigint>"),
]


@pytest.mark.parametrize(("narrow", "wide"), WIDENING)
def test_a_type_is_widened_and_never_narrowed(table: Table, narrow: str, wide: str) -> None:
    put(table, columns(score=narrow), period_id="2026-11-01")
    put(table, columns(score=wide), period_id="2026-11-08")
    assert columns_of(table) == {"score": wide}
    put(table, columns(score=narrow), period_id="2026-11-15")
    assert columns_of(table) == {"score": wide}

    # Each partition says what its files hold.
    types = [
        partition(table, period_id)["StorageDescriptor"]["Columns"][0]["Type"]
        for period_id in ("2026-11-01", "2026-11-08", "2026-11-15")
    ]
    assert types == [narrow, wide, narrow]


@pytest.mark.parametrize(("one", "other"), [*CLASHING, *((b, a) for a, b in CLASHING)])
def test_a_type_that_does_not_fit_is_refused_with_both(table: Table, one: str, other: str) -> None:
    put(table, columns(id="bigint", score=one))

    with pytest.raises(SchemaError) as caught:
        table.prepare(columns(id="bigint", score=other))
    for part in ("plays_weekly", "'score'", f"id bigint, score {one}", f"id bigint, score {other}"):
        assert part in str(caught.value)
    assert "Nothing is published" in str(caught.value)
    assert columns_of(table) == {"id": "bigint", "score": one}


def test_columns_may_come_and_go_and_keep_their_place(table: Table) -> None:
    put(table, columns(id="bigint", name="string"))
    put(table, columns(more="double", id="bigint"), period_id="2026-11-22")

    assert list(columns_of(table)) == ["id", "name", "more"]
    declared = partition(table, "2026-11-22")["StorageDescriptor"]["Columns"]
    assert [column["Name"] for column in declared] == ["id", "name", "more"]
    assert [column["Name"] for column in partition(table)["StorageDescriptor"]["Columns"]] == ["id", "name"]


def test_what_others_wrote_about_the_table_stays_when_it_is_widened(table: Table) -> None:
    table.prepare(columns(id="int"))
    found = table.glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]
    descriptor = {**found["StorageDescriptor"], "Columns": [{"Name": "id", "Type": "int", "Comment": "who"}]}
    table.glue.update_table(
        DatabaseName=table.database,
        TableInput={
            "Name": table.name,
            "Description": "about plays",
            "Parameters": {**found["Parameters"], "owner": "analytics"},
            "StorageDescriptor": descriptor,  # type: ignore[typeddict-item]
            "PartitionKeys": [{"Name": "period", "Type": "string"}],
        },
    )

    table.prepare(columns(id="bigint", score="double"))
    changed = table.glue.get_table(DatabaseName=table.database, Name=table.name)["Table"]
    assert changed["Description"] == "about plays"
    assert changed["Parameters"]["owner"] == "analytics"
    assert changed["StorageDescriptor"]["Columns"][0] == {"Name": "id", "Type": "bigint", "Comment": "who"}
    assert columns_of(table) == {"id": "bigint", "score": "double"}


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (columns(Period="string"), "'period' is what the table is partitioned by.*AS"),
        (columns(score="bigint", Score="bigint"), "'score' differs from another one only by case"),
        ([Column(name="at", type="TIME", glue="")], r"'at' is a TIME.*CAST"),
    ],
)
def test_a_column_that_has_no_place_is_refused_before_glue_is_asked(version: list[Column], says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        Table("no_such_database", LOCATION, None).prepare(version)  # type: ignore[arg-type]


# --- what goes wrong


@pytest.mark.parametrize("parameters", [{}, {"written_by": "somebody"}])
def test_a_table_of_somebody_else_is_refused_by_name(table: Table, parameters: dict[str, str]) -> None:
    table.glue.create_table(
        DatabaseName=table.database,
        TableInput={
            "Name": table.name,
            "Parameters": parameters,
            "StorageDescriptor": {"Columns": [], "Location": "s3://reports/plays/weekly/"},
        },
    )

    with pytest.raises(TableError) as caught:
        table.prepare(columns(score="bigint"))
    assert f"{table.database}.plays_weekly is not the table of s3://reports/plays/weekly/" in str(caught.value)
    assert not caught.value.retryable


def test_the_table_of_another_environment_is_refused(table: Table) -> None:
    Table(table.database, Location("reports-prd", "plays", "weekly", ""), table.glue).prepare(columns(score="bigint"))

    with pytest.raises(TableError, match=r"s3://reports-prd/plays/weekly/.*ATHENA_REPORTS_REPORT_DATABASE"):
        table.prepare(columns(score="bigint"))


def test_a_database_that_is_not_there_is_said_with_what_to_do(glue: GlueClient) -> None:
    with pytest.raises(
        TableError, match=r"Create the database no_such_database.*ATHENA_REPORTS_REPORT_DATABASE"
    ) as caught:
        Table("no_such_database", LOCATION, glue).prepare(columns(score="bigint"))
    assert isinstance(caught.value, PublishError)


@pytest.mark.parametrize(
    ("code", "message", "retryable", "says"),
    [
        ("AccessDeniedException", "User is not authorized to glue:GetTable", False, "in IAM"),
        (
            "AccessDeniedException",
            "Insufficient Lake Formation permission(s) on plays_weekly",
            False,
            "role in Lake Formation",
        ),
        ("ThrottlingException", "Rate exceeded", True, "Rate exceeded"),
        ("InternalServiceException", "", True, "InternalServiceException"),
        ("InvalidInputException", "bad", False, "bad"),
    ],
)
def test_a_refusal_says_whether_and_what_helps(
    table: Table, code: str, message: str, retryable: bool, says: str
) -> None:
    client = boto3.session.Session().client("glue")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_table", code, message)
        with pytest.raises(TableError, match=says) as caught:
            Table("reports", LOCATION, client).prepare(columns(score="bigint"))
    assert caught.value.retryable is retryable
    assert "reports.plays_weekly" in str(caught.value)


class Meddled:
    """A client of Glue whose first calls of one kind meet what somebody else did just before."""

    def __init__(self, client: GlueClient, call: str, *meddlers: Callable[[], object]) -> None:
        self._client, self._call, self._meddlers = client, call, list(meddlers)

    def __getattr__(self, name: str) -> Any:
        if name == self._call and self._meddlers:
            self._meddlers.pop(0)()
        return getattr(self._client, name)


class Refusing(Meddled):
    """One whose first calls of that kind are answered by what the meddlers raise."""

    def __getattr__(self, name: str) -> Any:
        if name == self._call and self._meddlers:
            return lambda **_: self._meddlers.pop(0)()
        return super().__getattr__(name)


def test_a_table_that_another_run_creates_meanwhile_is_taken(table: Table) -> None:
    meddled = Meddled(table.glue, "create_table", lambda: table.prepare(columns(score="int")))
    other = Table(table.database, LOCATION, meddled)  # type: ignore[arg-type]

    assert other.prepare(columns(score="bigint", more="string")) == {"score": "bigint", "more": "string"}
    assert columns_of(table) == {"score": "bigint", "more": "string"}


def test_a_table_that_another_run_is_creating_is_waited_for(table: Table) -> None:
    def meddle() -> None:
        table.prepare(columns(score="int"))
        raise ClientError({"Error": {"Code": "ConcurrentModificationException", "Message": ""}}, "CreateTable")

    refusing = Refusing(table.glue, "create_table", meddle)
    other = Table(table.database, LOCATION, refusing)  # type: ignore[arg-type]
    assert other.prepare(columns(score="int")) == {"score": "int"}


def test_a_column_that_another_run_adds_meanwhile_is_not_lost(table: Table) -> None:
    """Glue refuses an update of another version than the present one; here the service does not."""
    table.prepare(columns(score="int"))

    def meddle() -> None:
        table.prepare(columns(score="int", theirs="string"))
        raise ClientError({"Error": {"Code": "ConcurrentModificationException", "Message": ""}}, "UpdateTable")

    refusing = Refusing(table.glue, "update_table", meddle)
    other = Table(table.database, LOCATION, refusing)  # type: ignore[arg-type]
    other.prepare(columns(score="int", ours="string"))
    assert columns_of(table) == {"score": "int", "theirs": "string", "ours": "string"}


def test_an_update_names_the_version_that_it_is_of() -> None:
    client = boto3.session.Session().client("glue")
    found = {
        "Name": "plays_weekly",
        "DatabaseName": "reports",
        "VersionId": "7",
        "Parameters": {"written_by": "athena-reports"},
        "StorageDescriptor": {
            "Columns": [{"Name": "score", "Type": "int"}],
            "Location": "s3://reports/plays/weekly/",
        },
    }
    with Stubber(client) as stubber:
        stubber.add_response("get_table", {"Table": found})
        stubber.add_response(
            "update_table",
            {},
            {
                "DatabaseName": "reports",
                "VersionId": "7",
                "TableInput": {
                    **{name: found[name] for name in ("Name", "Parameters")},
                    "StorageDescriptor": {
                        "Columns": [{"Name": "score", "Type": "bigint"}],
                        "Location": "s3://reports/plays/weekly/",
                    },
                },
            },
        )
        Table("reports", LOCATION, client).prepare(columns(score="bigint"))
        stubber.assert_no_pending_responses()


def test_a_connection_that_fails_is_worth_a_retry() -> None:
    class Unreachable:
        def get_table(self, **_: Any) -> None:
            raise ConnectTimeoutError(endpoint_url="http://glue")

    with pytest.raises(TableError, match="Connect timeout") as caught:
        Table("reports", LOCATION, Unreachable()).prepare(columns(score="bigint"))  # type: ignore[arg-type]
    assert caught.value.retryable
