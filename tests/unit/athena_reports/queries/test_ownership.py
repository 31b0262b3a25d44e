import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.queries.ownership import AuthorMarker, Marker, Submission, query_of
from tests.support.memory_athena import MemoryAthena
from tests.support.submissions import AUTHOR, OWNER, of_author, start, start_sql, submission

TEXTS = st.text(st.characters(codec="utf-8"))
MARKERS = st.builds(
    Marker, **dict.fromkeys(Marker.model_fields, TEXTS) | {"map_index": st.integers()}
)


AUTHOR_MARKERS = st.builds(
    AuthorMarker,
    **dict.fromkeys(AuthorMarker.model_fields, TEXTS) | {"expires_after_seconds": st.integers()},
)


@given(TEXTS, MARKERS, AUTHOR_MARKERS)
def test_a_marker_of_an_author_is_never_that_of_a_task(
    sql: str, of_task: Marker, of_author: AuthorMarker
) -> None:
    assert AuthorMarker.find(sql + of_author.line) == of_author
    assert Marker.find(sql + of_author.line) is None
    assert AuthorMarker.find(sql + of_task.line) is None
    assert of_author != of_task
    assert not of_author.is_predecessor_of(of_task)
    assert not of_task.is_predecessor_of(of_author)


def test_what_an_author_started_can_be_read_back_and_tells_whose_it_is() -> None:
    athena, made = MemoryAthena(), of_author()
    (id_,) = start(athena, made)
    found = Submission.from_response(athena.get_query_execution(id_))
    assert found is not None
    assert found.marker == made.marker
    line = made.sql(0).splitlines()[-1]
    told = json.loads(line.removeprefix("-- athena-reports: "))
    assert len(told.pop("intention")) == 32
    assert told == {**AUTHOR, "output": "s3://results/"}

    (other,) = start(athena, made.model_copy(update={"statement": "SELECT 1000"}))
    assert Submission.from_response(athena.get_query_execution(other)) is None
    for other_wish in ({"command_id": "1" * 32}, {"expires_after_seconds": 60}):
        again = of_author(**other_wish)
        assert again.token(0) != made.token(0)
        assert again.marker.intention != made.marker.intention


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT 1 ;\n", "SELECT 1 \n; "])
def test_a_semicolon_at_the_end_is_no_part_of_a_statement(sql: str) -> None:
    assert submission(sql) == submission("SELECT 1")


@given(TEXTS, MARKERS, TEXTS, MARKERS)
def test_the_last_marker_is_found_whatever_the_query_and_the_ids_are(
    before: str, quoted: Marker, after: str, marker: Marker
) -> None:
    assert Marker.find(before + marker.line) == marker
    assert Marker.find(before + quoted.line + after + marker.line) == marker


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT '-- athena-reports: '",
        "SELECT 1\n-- athena-reports: ",
        "SELECT 1\n-- athena-reports: by hand",
        "SELECT 1\n-- athena-reports: [1, 2]",
        'SELECT 1\n-- athena-reports: {"environment": "dev"}',
        submission().sql(0) + "\nLIMIT 1",
        submission().sql(0).replace('"dag_id"', '"dag"'),
    ],
)
def test_a_query_of_somebody_else_has_no_marker(sql: str) -> None:
    athena = MemoryAthena()
    assert Marker.find(sql) is None
    assert Submission.from_response(athena.get_query_execution(start_sql(athena, sql))) is None


def test_a_marker_can_be_read_by_people_and_other_tools() -> None:
    """The documented format: one JSON object, named by what it says."""
    told = json.loads(submission().sql(0).splitlines()[-1].removeprefix("-- athena-reports: "))
    assert len(told.pop("intention")) == 32
    assert told == {**OWNER, "output": "s3://results/"}


SMALL = st.fixed_dictionaries(
    {
        "sql": st.sampled_from(["SELECT 1", "SELECT 2", "SELECT 1\n-- athena-reports: {}"]),
        "database": st.sampled_from(["", "database_dev", "database_stg"]),
        "catalog": st.sampled_from(["AwsDataCatalog", "other"]),
        "workgroup": st.sampled_from(["dev", "stg"]),
        "output": st.sampled_from(["", "s3://results/", "s3://others/"]),
        "unload_to": st.sampled_from([None, "s3://results/unload/", "s3://others/"]),
        "environment": st.sampled_from(["dev", "stg"]),
        "dag_id": st.sampled_from(["plays", "plays_weekly"]),
        "run_id": st.sampled_from(["run-1", "run-2", "weekly-run-1"]),
        "task_id": st.sampled_from(["run_query", "other_query"]),
        "map_index": st.sampled_from([-1, 0, 10]),
        "generation": st.sampled_from(["0", "1", "10"]),
    }
)


@given(SMALL, SMALL, st.data(), st.integers(0, 3), st.integers(0, 3))
def test_two_tokens_are_equal_exactly_if_intention_and_number_are(
    one: dict[str, Any], other: dict[str, Any], data: st.DataObject, number: int, other_number: int
) -> None:
    """Of two submissions that differ in two fields at most."""
    twin = one | {
        name: other[name] for name in data.draw(st.sets(st.sampled_from(sorted(one)), max_size=2))
    }
    first, second = submission(**one), submission(**twin)

    assert (first.marker.intention == second.marker.intention) == (one == twin)
    assert (first.token(number) == second.token(other_number)) == (
        one == twin and number == other_number
    )
    assert 32 <= len(first.token(number)) <= 128


@given(SMALL, st.integers(0, 3))
def test_what_was_started_can_be_read_back_from_what_athena_tells(
    fields: dict[str, Any], number: int
) -> None:
    """Athena answers the catalog in lower case,
    and the location that a workgroup may have decided.
    """
    athena, made = MemoryAthena(), submission(**fields)
    (id_,) = start(athena, made)
    athena.queries[id_].request = {**athena.queries[id_].request, "QueryString": made.sql(number)}

    context = {**made.context, "Catalog": fields["catalog"].lower()}
    found = Submission.from_response(athena.get_query_execution(id_))
    assert found == made.model_copy(update={"context": context})


def test_a_context_without_a_catalog_is_that_of_athena() -> None:
    """Athena need not answer the catalog that every account has."""
    athena, made = MemoryAthena(), submission()
    (id_,) = start(athena, made)
    response = athena.get_query_execution(id_)
    del response["QueryExecution"]["QueryExecutionContext"]["Catalog"]
    assert Submission.from_response(response) == made


def test_blanks_that_athena_leaves_out_around_a_query_are_no_other_query() -> None:
    athena, made = MemoryAthena(), submission("\n\n  SELECT 1")
    (id_,) = start(athena, made)
    response = athena.get_query_execution(id_)
    response["QueryExecution"]["Query"] = response["QueryExecution"]["Query"].strip()
    found = Submission.from_response(response)
    assert found is not None
    assert found.marker == made.marker


def test_an_execution_without_a_text_has_no_marker() -> None:
    assert Submission.from_response({"QueryExecution": {"QueryExecutionId": "q-1"}}) is None


EDITS = [
    ("QueryString", "SELECT 1", "SELECT 2"),
    ("QueryString", "s3://results/unload/", "s3://others/"),
    ("QueryString", '"generation": "0"', '"generation": "1"'),
    ("QueryString", '"output": "s3://results/"', '"output": "s3://others/"'),
    ("WorkGroup", "dev", "stg"),
]


@pytest.mark.parametrize(("field", "old", "new"), EDITS)
def test_a_marker_on_another_query_is_not_believed(field: str, old: str, new: str) -> None:
    """Somebody copies the query from the console, edits it, and runs it."""
    athena = MemoryAthena()
    (id_,) = start(athena, submission(unload_to="s3://results/unload/"))
    assert Submission.from_response(athena.get_query_execution(id_)) is not None

    request = athena.queries[id_].request
    assert old in request[field]
    athena.queries[id_].request = {**request, field: request[field].replace(old, new)}
    assert Submission.from_response(athena.get_query_execution(id_)) is None


@given(TEXTS.filter(lambda text: not text.rstrip().endswith(";")), st.integers(0, 3))
def test_each_execution_of_an_unload_writes_into_a_folder_of_its_own(
    text: str, number: int
) -> None:
    made = submission(f"SELECT {text}", unload_to="s3://results/unload/")
    sql, folder = made.sql(number), f"s3://results/unload/{made.marker.intention}/{number}/"

    statement = f"SELECT {text}".rstrip()
    options = "WITH (format = 'PARQUET', compression = 'ZSTD')"
    assert sql == f"UNLOAD (\n{statement}\n) TO '{folder}' {options}{made.marker.line}"
    assert Marker.find(sql) == made.marker


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.booleans())
def test_the_query_of_a_kept_statement_is_the_rendered_one(sql: str, is_unloaded: bool) -> None:
    made = submission(sql, unload_to="s3://results/unload/" if is_unloaded else None)
    assert query_of(made.statement) == sql.rstrip().removesuffix(";").rstrip()
