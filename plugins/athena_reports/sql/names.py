"""Names of databases, tables and columns, as a query of Athena or DuckDB writes them."""

import re

# What Athena reserves in SELECT (https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html),
# and what else the parsers of the linter and of the local Athena take for reserved.
_RESERVED_WORDS = """
ALL ALTER AND ANY ARRAY AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE CURRENT_CATALOG
CURRENT_DATE CURRENT_PATH CURRENT_ROLE CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER
DEALLOCATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE EXCEPT EXECUTE EXISTS EXTRACT FALSE FETCH
FIRST FOR FROM FULL GLOB GRANT GROUP GROUPING HAVING IF ILIKE IN INNER INSERT INTERSECT INTERVAL
INTO IS JOIN JSON_ARRAY JSON_EXISTS JSON_OBJECT JSON_QUERY JSON_TABLE JSON_VALUE LAST LATERAL LEFT
LIKE LIMIT LIST LISTAGG LOCALTIME LOCALTIMESTAMP LOCK MAP MATCH_RECOGNIZE NATURAL NORMALIZE NOT
NOTNULL NULL NULLABLE OBJECT OF OFFSET ON OR ORDER OUTER OVERLAPS PARTITIONED_BY PREPARE RANGE
RECURSIVE REGEXP RETURNING RETURNS REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROW SELECT SESSION_USER SKIP
SOME STRUCT TABLE TABLESAMPLE THEN TRIM TRUE UESCAPE UNCACHE UNION UNNEST USER USING VALUES WHEN
WHERE WINDOW WITH XOR
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_reserved(name: str) -> bool:
    """Return whether a name is a word that has to be quoted in a query."""
    return name.upper() in _RESERVED


def sql_name(name: str) -> str:
    """Return a name as people write it in a query of Athena: quoted only if it has to be."""
    return name if _PLAIN.fullmatch(name) and not is_reserved(name) else quoted(name)


def quoted(name: str) -> str:
    """Return a name in double quotes, which Athena and DuckDB take for any name."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
