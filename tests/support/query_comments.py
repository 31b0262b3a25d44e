"""Whose query it is, by the comment that the library writes for people: tests are people here."""

import json
from typing import Any

_MARK = "\n-- athena-reports: "


def comment_of(sql: str) -> dict[str, Any]:
    """What the comment of a query says; empty for the query of somebody else."""
    _, mark, comment = sql.rpartition(_MARK)
    if not mark:
        return {}
    says: dict[str, Any] = json.loads(comment)
    return says


def query_of(sql: str) -> str:
    """A query without its comment."""
    query, mark, _ = sql.rpartition(_MARK)
    return query if mark else sql
