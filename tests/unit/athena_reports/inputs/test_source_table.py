"""What is refused of a declaration that does not fit its table, and that the advice helps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.inputs.source_table import SourceTable
from tests.support.wire import answered, json_error
from tests.unit.athena_reports.inputs.glue_tables import create_table, followed

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

TEXTS = {"year": "string", "month": "string", "day": "string", "hour": "string"}


@pytest.mark.parametrize(
    ("keys", "fields", "says"),
    [
        ({"dt": "date"}, {}, 'Write kind="date".'),
        ({"dt": "DATE"}, {}, 'Write kind="date".'),
        ({"dt": "int"}, {"format": "%Y%m%d"}, 'Write kind="integer".'),
        ({"dt": "int"}, {"format": "%Y-%m-%d"}, "and a format= whose texts are of that kind"),
        ({"dt": "date"}, {"format": "%d-%m-%Y"}, 'Write kind="date", and a format='),
        ({"dt": "varchar(10)"}, {"kind": "date"}, 'Write kind="string".'),
        ({"dt": "Char( 10 )"}, {"kind": "integer"}, 'Write kind="string".'),
        ({"dt": "string"}, {"kind": "integer", "format": "%Y%m"}, 'Write kind="string".'),
        (
            dict.fromkeys(TEXTS, "SMALLINT"),
            {"columns": tuple(TEXTS)},
            'Write kind="integer".',
        ),
        (
            {**TEXTS, "hour": "tinyint"},
            {"columns": tuple(TEXTS)},
            'Write kind=("string", "string", "string", "integer").',
        ),
        (
            {"dt": "date", "hour": "int"},
            {"columns": ("dt", "hour"), "format": ("%Y-%m-%d", "%H")},
            'Write kind=("date", "integer").',
        ),
        # Other keys than those that are there.
        ({"day": "string"}, {}, 'Write Input("plays", columns=["day"]).'),
        ({"day": "date"}, {}, 'Write Input("plays", columns=["day"], kind="date").'),
        ({"dt": "bigint"}, {"columns": "DT"}, 'columns=["dt"], kind="integer").'),
        ({}, {}, 'Write Input("plays", columns=()).'),
        ({"dt": "string"}, {"columns": ()}, 'Write Input("plays", columns=["dt"]).'),
        (TEXTS, {}, 'Write Input("plays", columns=["year", "month", "day", "hour"]).'),
        (
            {"region": "string", "month": "int", "year": "int"},
            {},
            'Write Input("plays", columns=["year", "month"], kind="integer").',
        ),
        (
            {**TEXTS, "hour": "int"},
            {"columns": "date"},
            'kind=("string", "string", "string", "integer")).',
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_fits(
    glue: GlueClient, database: str, keys: dict[str, str], fields: dict[str, Any], says: str
) -> None:
    create_table(glue, database, keys)
    with pytest.raises(InputError) as refused:
        SourceTable.read(Input("plays", **fields), database, glue)
    assert f"{database}.plays" in str(refused.value)
    assert says in str(refused.value)

    table = SourceTable.read(followed(str(refused.value), fields), database, glue)
    assert list(table.keys.items()) == list(keys.items())


def test_what_does_not_fit_is_told_with_what_is_there(glue: GlueClient, database: str) -> None:
    create_table(glue, database, {"dt": "date", "Hour": "int"})
    name = f"{database}.plays"
    for source, says in (
        (
            Input("plays"),
            f"The input {name}: its partition key dt is of type date in Glue, and the report's"
            " input says 'string'. Write kind=\"date\".",
        ),
        (
            Input("plays", "day"),
            f"{name} is partitioned by dt, Hour, the report's input says day. Correct the input:"
            " name those of its keys that hold the date or the hour.",
        ),
        (
            Input("plays", columns=()),
            f"{name} is partitioned by dt, Hour, the report's input says nothing. Correct the"
            " input: name those of its keys that hold the date or the hour.",
        ),
    ):
        with pytest.raises(InputError) as refused:
            SourceTable.read(source, database, glue)
        assert str(refused.value) == says


@pytest.mark.parametrize(
    ("keys", "fields", "says"),
    [
        ({"dt": "timestamp"}, {}, "dt is a timestamp, which is not supported. Leave the Input out"),
        ({"dt": "decimal(8,0)"}, {}, "dt is a decimal(8,0), which is not supported"),
        ({"dt": "boolean"}, {"columns": "day"}, "name those of its keys that hold the date"),
        ({"dt": "string", "hour": "string"}, {"columns": "day"}, "name those of its keys"),
        # `month` and `day` without a year are no time.
        ({"month": "string", "day": "string"}, {"columns": "dt"}, "name those of its keys"),
        (
            {"dt": "string", "region": "string"},
            {"only": {"country": ["jp"]}},
            "only= names 'country', which is not one of its partition keys. Its further keys are:"
            " region.",
        ),
        ({"dt": "string"}, {"only": {"country": ["jp"]}}, "Its further keys are: none."),
        (
            {"dt": "string", "level": "int"},
            {"only": {"level": ["5"]}},
            "level is of type int in Glue, and only= gives '5'. Give int values.",
        ),
        (
            {"dt": "string", "region": "varchar(2)"},
            {"only": {"region": [1]}},
            "only= gives 1. Give str values.",
        ),
        (
            {"dt": "string", "loaded": "date"},
            {"only": {"loaded": ["2025-01-01"]}},
            "only= knows texts and integers alone. Leave it out of only=",
        ),
        (
            {"dt": "string", "region": "string"},
            {"only": {"region": ["jp", ""]}},
            "only= gives '' for region, which is NULL in Athena",
        ),
        (
            {"dt": "string", "region": "string"},
            {"only": {"region": ["__HIVE_DEFAULT_PARTITION__"]}},
            "which is NULL in Athena, and equals nothing",
        ),
    ],
)
def test_what_no_declaration_reads_is_refused(
    glue: GlueClient, database: str, keys: dict[str, str], fields: dict[str, Any], says: str
) -> None:
    create_table(glue, database, keys)
    with pytest.raises(InputError) as refused:
        SourceTable.read(Input("plays", **fields), database, glue)
    assert says in str(refused.value)
    assert f"{database}.plays" in str(refused.value)


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
        ({"event date": "string"}, {"columns": "event date", "format": "%F"}),
        ({f"key_{number}": "string" for number in range(29)} | {"dt": "string"}, {}),
    ],
)
def test_what_fits_is_read(
    glue: GlueClient, database: str, keys: dict[str, str], fields: dict[str, Any]
) -> None:
    create_table(glue, database, keys)
    source = Input("plays", **fields)
    table = SourceTable.read(source, database, glue)
    assert table.name == f"{database}.plays"
    assert list(table.selected_keys) == [*source.columns, *source.only]
    assert table.has_free_keys == (len(keys) > len(table.selected_keys))
    assert len(table.kinds) == len(table.selected_keys)


# --- views


def create_view(glue: GlueClient, database: str, *columns: str) -> None:
    types = dict.fromkeys(columns, "string")
    create_table(glue, database, {}, name="plays_v", columns=types, view=True)


@pytest.mark.parametrize("is_named_with_its_database", [False, True])
def test_the_table_of_a_view_is_that_below_it(
    glue: GlueClient, database: str, is_named_with_its_database: bool
) -> None:
    below, of = database, "plays"
    if is_named_with_its_database:
        below, of = f"{database}_raw", f"{database}_raw.plays"
        glue.create_database(DatabaseInput={"Name": below})
    create_table(glue, below, {"dt": "string", "region": "string"})
    create_view(glue, database, "user_id", "dt", "region")

    source = Input("plays_v", "dt", of=of, only={"region": ["jp"]})
    table = SourceTable.read(source, database, glue)
    assert (table.name, table.location) == (f"{below}.plays", "s3://lake/plays/")
    named = Input("plays_v", "dt", of=of, database=database)
    assert SourceTable.read(named, "other", glue).name == f"{below}.plays"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            Input("plays_v", "dt"),
            "plays_v is a view, which has no partitions. Name the table below it, such as"
            ' Input("plays_v", of="..."), or write Input("plays_v", columns=()).',
        ),
        (
            Input("plays_v", ("day", "hour"), format=("%F", "%H"), of="plays"),
            "plays_v has no column 'day', so its SQL cannot be filtered by the partitions of"
            " plays. It has user_id, dt. Let the view select day, or read plays.",
        ),
        (
            Input("plays_v", "dt", of="plays", only={"region": ["jp"]}),
            "plays_v has no column 'region'",
        ),
        (Input("plays", "dt", of="raw"), "plays is not a view. Leave out of='raw'."),
        (
            Input("plays_v", "dt", of="songs"),
            "songs below the view plays_v is not in Glue. Correct the input, or create the table.",
        ),
        (Input("plays_v", "dt", of="nowhere.plays"), "The table nowhere.plays below the view"),
        (Input("plays_v", "dt", of="other_v"), "other_v is a view, which has no partitions"),
        (Input("plays_v", "dt", of="plays", kind="date"), 'Write kind="string".'),
    ],
)
def test_a_view_that_cannot_be_looked_through_is_refused(
    glue: GlueClient, database: str, source: Input, says: str
) -> None:
    create_table(glue, database, {"dt": "string"})
    create_view(glue, database, "user_id", "dt")
    create_table(glue, database, {}, name="other_v", view=True)
    with pytest.raises(InputError) as refused:
        SourceTable.read(source, database, glue)
    assert says in str(refused.value)
    assert (f"{database}." in str(refused.value)) == ("nowhere" not in says)


def test_a_view_without_of_has_no_partitions(glue: GlueClient, database: str) -> None:
    create_view(glue, database, "dt")
    table = SourceTable.read(Input("plays_v", columns=()), database, glue)
    assert not table.keys


# --- what Glue answers


def test_a_table_that_is_not_there_is_named(glue: GlueClient, database: str) -> None:
    with pytest.raises(InputError, match=rf"The input {database}\.plays is not in Glue"):
        SourceTable.read(Input("plays"), database, glue)
    with pytest.raises(InputError, match=r"The input nowhere\.plays is not in Glue"):
        SourceTable.read(Input("plays", database="nowhere"), database, glue)


def test_a_table_that_may_not_be_read_is_not_taken_for_one_that_is_not_there(
    glue: GlueClient, database: str
) -> None:
    """What the error means is decided where all errors of AWS are."""
    denied = json_error("AccessDeniedException", "not allowed")
    with answered(glue, "GetTable", denied), pytest.raises(ClientError, match="AccessDenied"):
        SourceTable.read(Input("plays"), database, glue)


def test_a_table_without_a_storage_descriptor_has_no_folder(
    glue: GlueClient, database: str
) -> None:
    keys: Any = [{"Name": "dt", "Type": "string"}]
    glue.create_table(DatabaseName=database, TableInput={"Name": "plays", "PartitionKeys": keys})
    assert SourceTable.read(Input("plays"), database, glue).location == ""


# --- how partitions are written


@pytest.mark.parametrize(
    ("fields", "value", "says"),
    [
        ({}, "20250621", 'Write format="%Y%m%d".'),
        ({}, "2025/06/21/15", 'Write format="%Y/%m/%d/%H".'),
        ({}, "2025-06", 'Write format="%Y-%m".'),
        ({"format": "%Y/%m/%d/%H"}, "2025-06-21-15", 'Write format="%Y-%m-%d-%H".'),
        ({"format": "%Y-%-m-%-d"}, "2025-06-21", 'Write format="%Y-%m-%d".'),
    ],
)
def test_another_form_of_the_partitions_is_named(
    glue: GlueClient, database: str, fields: dict[str, Any], value: str, says: str
) -> None:
    create_table(glue, database, {"dt": "string"})
    source = Input("plays", **fields)
    with pytest.raises(InputError) as refused:
        SourceTable.read(source, database, glue).require_readable({"dt": value})
    assert f"Glue has the partition dt={value}, which is not written as" in str(refused.value)
    assert says in str(refused.value)
    corrected = followed(str(refused.value), fields)
    SourceTable.read(corrected, database, glue).require_readable({"dt": value})


@pytest.mark.parametrize(
    "format",
    [
        *("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y"),
        *("%Y-%m-%d-%H", "%Y/%m/%d/%H", "%Y-%m-%d %H", "%Y%m%d%H"),
        *("%Y-%m", "%Y/%m", "%Y%m", "%Y"),
    ],
)
def test_each_usual_form_is_told_by_one_partition(
    glue: GlueClient, database: str, format: str
) -> None:
    create_table(glue, database, {"dt": "string"})
    table = SourceTable.read(Input("plays", format="%m.%d.%Y"), database, glue)
    value = datetime(2025, 11, 23, 15).strftime(format)  # noqa: DTZ001
    with pytest.raises(InputError) as refused:
        table.require_readable({"dt": value})
    assert str(refused.value) == (
        f"The input {database}.plays: Glue has the partition dt={value}, which is not written as"
        f" '%m.%d.%Y'. Write format=\"{format}\"."
    )


@pytest.mark.parametrize(
    ("keys", "fields", "stored"),
    [
        ({"dt": "string"}, {}, {"dt": "June 21"}),
        # A usual form of one key is no advice for several keys, or for a date.
        (
            {"dt": "string", "hour": "string"},
            {"columns": ("dt", "hour"), "format": ("%Y/%m/%d", "%H")},
            {"dt": "2025-06-21", "hour": "15"},
        ),
        ({"dt": "date"}, {"kind": "date"}, {"dt": "20250621"}),
    ],
)
def test_a_form_that_nobody_knows_is_left_to_the_author(
    glue: GlueClient,
    database: str,
    keys: dict[str, str],
    fields: dict[str, Any],
    stored: dict[str, str],
) -> None:
    create_table(glue, database, keys)
    table = SourceTable.read(Input("plays", **fields), database, glue)
    says = rf"dt={stored['dt']}, .* Write format= as the table has it\."
    with pytest.raises(InputError, match=says):
        table.require_readable(stored)


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({"columns": "dt"}, {"dt": "__HIVE_DEFAULT_PARTITION__"}),
        # `strptime` does not read what these write.
        ({"columns": "dt", "format": "%F"}, {"dt": "2025-06-21"}),
        ({"columns": "dt", "format": "%Y/%Y-%m-%d"}, {"dt": "2025/2025-06-21"}),
        ({"columns": "dt", "format": "%G-W%V"}, {"dt": "2025-W25"}),
        ({"columns": "dt", "format": "%Y-%-m-%-d"}, {"dt": "2025-6-1"}),
        (
            {"columns": ("dt", "hour"), "format": ("%F", "%H"), "kind": ("string", "integer")},
            {"dt": "2025-06-21", "hour": "__HIVE_DEFAULT_PARTITION__"},
        ),
    ],
)
def test_a_partition_that_cannot_be_told_to_be_wrong_is_right(
    glue: GlueClient, database: str, fields: dict[str, Any], stored: dict[str, str]
) -> None:
    source = Input("plays", **fields)
    types = {"string": "string", "integer": "int", "date": "date"}
    create_table(glue, database, {key.name: types[key.kind] for key in source.layout.keys})
    SourceTable.read(source, database, glue).require_readable(stored)


def test_a_projected_table_is_waited_for_by_its_done_objects(
    glue: GlueClient, database: str
) -> None:
    create_table(glue, database, {"dt": "string"}, dt__type="date", dt__range="2025-01-01,NOW")
    wait = timedelta(hours=6)
    with pytest.raises(InputError, match=r"has wait=, but its partitions are projected"):
        SourceTable.read(Input("plays", wait=wait), database, glue)
    SourceTable.read(Input("plays", wait=wait, done="s3://lake/{date}/done"), database, glue)


def test_a_projection_of_no_keys_is_not_asked_for_dates(glue: GlueClient, database: str) -> None:
    """As it stays behind where a table was made anew without its keys."""
    create_table(glue, database, {}, dt__type="date", dt__range="2025-01-01,NOW")
    table = SourceTable.read(Input("plays", columns=()), database, glue)
    assert not table.keys
