from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.authoring.rules.sql_style import StyleBeside, shape_of, violations

EDITED = "select country from plays where dt = '2025-01-05' order by country\n"
BEGUN = "SELECT *\nFROM plays\nWHERE dt = '{}'\nORDER BY country\n"
RIGHT = "SELECT country\nFROM plays\nORDER BY country\n"


def test_sql_that_sqlfluff_cannot_parse_is_not_its_matter() -> None:
    """Trino's own parser judges it."""
    assert violations("SELECT 1 AS one FROM FROM\n") == []


def test_queries_that_differ_in_more_than_their_literals_have_two_shapes() -> None:
    of_one_week = "SELECT a FROM t1 WHERE dt IN ('2025-06-01', '2025-06-02') AND n > 10 AND x = 'u'"
    of_another = "SELECT a FROM t1 WHERE dt IN ('2025-06-08') AND n > 3 AND x = 'v w'"
    assert shape_of(of_one_week) == shape_of(of_another)
    for old, new in (("AND n", "OR n"), ("SELECT a", "SELECT b"), ("x = ", "x <> "), ("t1", "t2")):
        assert shape_of(of_one_week.replace(old, new)) != shape_of(of_one_week)


def test_a_process_beside_finds_what_is_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has begun with the SQL, with that of another period, or not at all.

    The author's own configuration of sqlfluff is not the project's.
    """
    (tmp_path / ".sqlfluff").write_text("[sqlfluff]\nexclude_rules = AM04\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    begun = BEGUN.format("2025-01-05")
    other_period = BEGUN.format("2025-01-12")

    with StyleBeside([begun]) as style:
        found = [style.violations(sql) for sql in (begun, other_period, EDITED, RIGHT)]

    assert found == [violations(sql) for sql in (begun, other_period, EDITED, RIGHT)]
    assert [line for line, _ in found[0]] == [1]
    assert found[2]
    assert found[3] == []
