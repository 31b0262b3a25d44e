from __future__ import annotations

import pytest

from local_aws.athena.dialect import Unload, parse
from local_aws.athena.errors import ApiError

REFUSED = [
    ("SELECT * FORM t", r"line 1:10: mismatched input 'FORM'\. Expecting: "),
    ("SELECT 1\nFROM t WHERE", r"line 2:13: mismatched input '<EOF>'"),
    ("SELEC 1", r"line 1:1: mismatched input 'SELEC'"),
    ("", r"line 1:1: mismatched input '<EOF>'"),
    ("SELECT 'abc", r"line 1:8: Unterminated string literal"),
    ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
    ("SELECT {{ x }}", "mismatched input '{'"),
    # what only DuckDB reads
    ("SELECT 1::int", "line 1:9"),
    ("SELECT * FROM '/etc/passwd'", "line 1:15: mismatched input ''/etc/passwd''"),
    ("SELECT * FROM t JOIN '/etc/passwd' ON true", "mismatched input ''/etc/passwd''"),
    ("SELECT * FROM read_csv('/etc/passwd')", "line 1:"),
    ("FROM t", "mismatched input 'FROM'"),
    ("SELECT a FROM t QUALIFY row_number() OVER () = 1", "mismatched input"),
    ("SELECT a FROM t WHERE a ILIKE 'x'", "operator is not supported"),
    ("SELECT a FROM t GROUP BY ALL", "line 1:"),
    ("SELECT a FROM t LIMIT 5 OFFSET 3", "line 1:25: mismatched input 'OFFSET'"),
    ("SELECT `a` FROM t", "mismatched input '`'"),
    ("SELECT 7 // 2", "NOT_SUPPORTED"),
    ("PRAGMA database_list", "mismatched input 'PRAGMA'"),
    ("COPY t TO 'x'", "mismatched input 'COPY'"),
    ("ATTACH 'x' AS y", "mismatched input 'ATTACH'"),
    ("INSTALL httpfs", "mismatched input 'INSTALL'"),
    ("LOAD httpfs", "mismatched input 'LOAD'"),
    ("CHECKPOINT", "mismatched input 'CHECKPOINT'"),
    ("SUMMARIZE t", "mismatched input 'SUMMARIZE'"),
    # what Athena does and this does not
    ("CREATE TABLE x AS SELECT 1", "NOT_SUPPORTED: the local Athena does not do CREATE TABLE statements"),
    ("UNLOAD (SELECT 1) TO 's3://bucket/'", "NOT_SUPPORTED: .* UNLOAD in the format ''"),
    (
        "UNLOAD (SELECT 1) TO 's3://bucket/' WITH (format = 'ORC')",
        "NOT_SUPPORTED: .* UNLOAD in the format 'ORC'",
    ),
    (
        "UNLOAD (SELECT 1) TO 's3://bucket/' WITH (format = 'PARQUET', compression = 'LZ4')",
        "NOT_SUPPORTED: .* LZ4",
    ),
    (
        "UNLOAD (SELECT 1) TO 's3://bucket/' WITH (format = 'PARQUET', partitioned_by = ARRAY['a'])",
        "NOT_SUPPORTED: .* partitioned_by",
    ),
    (
        "UNLOAD (SELECT 1) TO 'bucket/' WITH (format = 'PARQUET')",
        "The target of UNLOAD is not a valid S3 path",
    ),
    (
        "UNLOAD (SELECT a FORM t)\nTO 's3://bucket/' WITH (format = 'PARQUET')",
        "line 1:23: mismatched input 't'",
    ),
    ("UNLOAD (SELECT 1) TO 's3://bucket/' WITH (format = 'PARQUET'); SELECT 1", "Only one sql statement"),
    ("EXPLAIN SELECT 1", "NOT_SUPPORTED: .* EXPLAIN statements"),
    ("SHOW TABLES", "NOT_SUPPORTED: .* SHOW statements"),
    ("SET x = 1", "NOT_SUPPORTED: .* SET"),
    ("DROP TABLE x", "NOT_SUPPORTED: .* DROP TABLE statements"),
    ("MSCK REPAIR TABLE t", "NOT_SUPPORTED: .* MSCK statements"),
]


@pytest.mark.parametrize(("sql", "message"), REFUSED)
def test_refused_at_the_start(sql: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        parse(sql)
    assert caught.value.code == "InvalidRequestException"


def test_parameters_stand_for_question_marks_outside_texts_and_comments() -> None:
    sql = parse("SELECT ?, '?', \"?\" /* ? */ FROM t -- ?\nWHERE a = ?", ["'it''s ?'", "-5"]).sql
    assert sql == "SELECT  'it''s ?' , '?', \"?\" /* ? */ FROM t -- ?\nWHERE a =  -5 "


def test_the_query_in_an_unload_stays_where_it_was() -> None:
    text = """-- (not yet
    unload (
        SELECT ')' || ? AS a FROM t WHERE (b = 1)
    ) TO 's3://bucket/folder' WITH (FORMAT='parquet', compression = 'zstd');
-- athena-reports: {"mark": "(?)"}"""
    statement = parse(text, ["'x'"])
    query = "SELECT ')' ||  'x'  AS a FROM t WHERE (b = 1)"
    assert statement.sql.strip() == query
    assert statement.sql.partition(query)[0] == " " * 11 + "\n" + " " * 12 + "\n" + " " * 8
    assert statement.unload == Unload("s3://bucket/folder/", "ZSTD")
    assert parse("SELECT 1").unload is None


@pytest.mark.parametrize("literal", ["1", "-1.5", "'a'", "''", "NULL", "true", "DATE '2024-01-01'", "1e3"])
def test_literals_are_parameters(literal: str) -> None:
    parse("SELECT ?", [literal])


@pytest.mark.parametrize(
    "text", ["a", "1 + 1", "1, 2", "(SELECT 1)", "1 FROM t", "'a' OR true", "", "1; SELECT 2", "now()"]
)
def test_other_texts_are_no_parameters(text: str) -> None:
    with pytest.raises(ApiError, match="INVALID_PARAMETER_USAGE: not a literal"):
        parse("SELECT ?", [text])


@pytest.mark.parametrize("parameters", [[], ["1"], ["1", "2", "3"]])
def test_as_many_parameters_as_question_marks(parameters: list[str]) -> None:
    with pytest.raises(ApiError, match=f"expected 2 but found {len(parameters)}"):
        parse("SELECT ?, ?", parameters)
