"""What is refused of a declaration that does not fit its table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.inputs.source_table import SourceTable
from tests.support.wire import answered, json_error, json_response
from tests.unit.athena_reports.inputs.glue_tables import Lake

PARTS = dict.fromkeys(("year", "month", "day", "hour"), "string")


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        # Other types than those that are declared.
        ({"dt": "DATE"}, {}),
        ({"dt": "Char( 10 )"}, {"kind": "integer"}),
        ({**PARTS, "hour": "tinyint"}, {"columns": tuple(PARTS)}),
        ({"dt": "decimal(8,0)"}, {}),
        # Other keys than those that are declared.
        ({"day": "string"}, {}),
        ({"dt": "string"}, {"columns": "DT"}),
        ({"dt": "string"}, {"columns": ()}),
        ({}, {}),
    ],
)
def test_what_does_not_fit_is_refused(
    lake: Lake, keys: dict[str, str], fields: dict[str, Any]
) -> None:
    lake.create(keys)
    assert " is partitioned by " in lake.refusal(Input("plays", **fields))


def test_what_does_not_fit_is_named_with_what_exists(lake: Lake) -> None:
    lake.create({"dt": "timestamp", "Hour": "int"})
    assert lake.refusal(Input("plays")) == (
        f"{lake.database}.plays is partitioned by dt (timestamp), Hour (integer), but the input"
        " declares dt (string). Declare the keys of type string, integer or date that hold the"
        " date or hour, with their kind= and format=. Use columns=() for a table without"
        " partition keys in Glue, such as an Iceberg table, and of= for a view of a partitioned"
        " table. For other tables, omit the Input and filter only by period.contains."
    )


@pytest.mark.parametrize(
    ("type_", "only"),
    [
        (None, {"country": ["jp"]}),
        ("int", {"level": ["5"]}),
        ("varchar(2)", {"level": [1]}),
        ("string", {"level": ["jp", 1]}),
        ("date", {"level": ["2025-01-01"]}),
    ],
)
def test_only_has_values_of_keys(lake: Lake, type_: str | None, only: dict[str, Any]) -> None:
    keys = {"dt": "string"} | ({} if type_ is None else {"level": type_})
    lake.create(keys)
    (key,) = only
    listed = ", ".join(f"{name} ({type_})" for name, type_ in keys.items())
    assert lake.refusal(Input("plays", only=only)) == (
        f"The input {lake.database}.plays, only=: {key!r} must be a partition key of type string or"
        f" int, with values of that type. The table is partitioned by {listed}. Filter by {key} in"
        " the SQL, or correct only=."
    )


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        ({"dt": "STRING"}, {}),
        ({"dt": "varchar(10)"}, {}),
        ({"dt": "char( 10 )"}, {}),
        *(({"dt": type}, {"kind": "integer"}) for type in ("smallint", "integer", "bigint")),
        ({"dt": " Int "}, {"kind": "integer"}),
        ({"region": "string", "dt": "string"}, {}),
        ({"region": "string", "dt": "string"}, {"only": {"region": ["o'neill"]}}),
        ({"dt": "string", "level": "tinyint"}, {"only": {"level": [-1, 0]}}),
        ({"event date": "string"}, {"columns": "event date", "format": "%Y-%m-%d"}),
        ({f"key_{number}": "string" for number in range(29)} | {"dt": "string"}, {}),
    ],
)
def test_what_fits_is_read(lake: Lake, keys: dict[str, str], fields: dict[str, Any]) -> None:
    lake.create(keys)
    source = Input("plays", **fields)
    table = lake.read(source)
    assert table.name == f"{lake.database}.plays"
    assert list(table.selected_keys) == [*source.columns, *source.only]
    assert table.has_free_keys == (len(keys) > len(table.selected_keys))
    assert len(table.kinds) == len(table.selected_keys)


# --- views


@pytest.mark.parametrize("is_named_with_its_database", [False, True])
def test_the_table_of_a_view_is_that_below_it(lake: Lake, is_named_with_its_database: bool) -> None:
    below, of = lake.database, "plays"
    if is_named_with_its_database:
        below, of = f"{lake.database}_raw", f"{lake.database}_raw.plays"
        lake.glue.create_database(DatabaseInput={"Name": below})
    Lake(lake.glue, below).create({"dt": "string", "region": "string"})
    lake.create({}, name="plays_v")

    source = Input("plays_v", "dt", of=of, only={"region": ["jp"]})
    table = lake.read(source)
    assert (table.name, table.location) == (f"{below}.plays", "s3://lake/plays/")
    named = Input("plays_v", "dt", of=of, database=lake.database)
    assert SourceTable.read(named, "other", lake.glue).name == f"{below}.plays"


def test_a_view_has_no_partitions_of_its_own(lake: Lake) -> None:
    lake.create({}, name="plays_v")
    assert not lake.read(Input("plays_v", columns=())).keys
    assert "is partitioned by nothing" in lake.refusal(Input("plays_v", "dt"))


# --- what Glue answers


def test_partitions_are_asked_of_the_table_that_was_requested(lake: Lake) -> None:
    """Glue has those of a resource link under the name of the link."""
    target: Any = {"Name": "plays_of_their_account", "PartitionKeys": [{"Name": "dt"}]}
    target["PartitionKeys"][0]["Type"] = "string"
    with answered(lake.glue, "GetTable", json_response({"Table": target})):
        table = lake.read(Input("plays"))
    assert table.name == f"{lake.database}.plays"


def test_a_table_that_does_not_exist_is_named(lake: Lake) -> None:
    assert lake.refusal(Input("plays")) == (
        f"The input {lake.database}.plays does not exist in Glue. Correct the input, or create the"
        " table."
    )
    with pytest.raises(InputError, match=r"nowhere\.plays"):
        lake.read(Input("plays", database="nowhere"))


def test_a_table_that_may_not_be_read_is_not_taken_for_one_that_is_not_there(lake: Lake) -> None:
    """What the error means is decided where all errors of AWS are."""
    denied = json_error("AccessDeniedException", "not allowed")
    with answered(lake.glue, "GetTable", denied), pytest.raises(ClientError, match="AccessDenied"):
        lake.read(Input("plays"))


def test_a_table_without_a_storage_descriptor_has_no_folder(lake: Lake) -> None:
    keys: Any = [{"Name": "dt", "Type": "string"}]
    lake.glue.create_table(
        DatabaseName=lake.database, TableInput={"Name": "plays", "PartitionKeys": keys}
    )
    assert lake.read(Input("plays")).location == ""


def test_a_projected_table_is_waited_for_by_its_success_markers(lake: Lake) -> None:
    lake.create({"dt": "string"}, dt__type="date", dt__range="2025-01-01,NOW")
    wait = timedelta(hours=6)
    assert lake.refusal(Input("plays", wait=wait)) == (
        f"The input {lake.database}.plays has wait=, but its partitions are projected and not in"
        " Glue. Set a success marker, such as"
        " done='s3://lake/plays/dt={date}/_SUCCESS', or remove wait=."
    )
    lake.read(Input("plays", wait=wait, done="s3://lake/{date}/done"))


def test_a_projection_of_no_keys_is_not_asked_for_dates(lake: Lake) -> None:
    """As it stays behind where a table was made anew without its keys."""
    lake.create({}, dt__type="date", dt__range="2025-01-01,NOW")
    table = lake.read(Input("plays", columns=()))
    assert not table.keys
