"""Words that SQL may reserve."""

from __future__ import annotations

import re

import duckdb
from sqlglot.dialects.trino import Trino


def words_of_sql() -> list[str]:
    """The words that mean something to some SQL: DuckDB's own list, and that of sqlglot's Trino."""
    keywords = duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    words = {name for (name,) in keywords} | {word.lower() for word in Trino.Tokenizer.KEYWORDS}
    return sorted(word for word in words if re.fullmatch("[a-z][a-z0-9_]*", word))
