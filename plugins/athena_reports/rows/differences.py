"""What two versions of a period's rows differ in.

By a key, rows are added, removed or changed, the latter in some of their columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from athena_reports.rows.columns import NamedColumn, read_parquet, resolve_names
from athena_reports.rows.engine import Engine
from athena_reports.sql.names import quoted

Value = str | None  # a value as text; None for NULL
_SHOWN_EXAMPLES = 3  # of each kind of change

_IS_UNIQUE = """
SELECT count(*) = (SELECT count(*) FROM (SELECT DISTINCT {key} FROM {file}))
FROM {file}
"""
# Rows are paired by a hash of their key, or of the whole row: DuckDB holds less of them in memory.
# A row that only one version has is beside a row of NULLs, whose `is_there` is NULL too. `kind` is
# NULL for a row that is the same in both versions.
_PAIRS = """
(
    SELECT
        CASE
            WHEN old_row.is_there IS NULL THEN 'added'
            WHEN new_row.is_there IS NULL THEN 'removed'
            WHEN {is_changed} THEN 'changed'
        END AS kind,
        [{key}]::VARCHAR[] AS key,
        [{old_values}]::VARCHAR[] AS old_values,
        [{new_values}]::VARCHAR[] AS new_values,
        [{changes}]::BOOLEAN[] AS changes,
        {size} AS size
    FROM (SELECT {columns} FROM {old_file} AS file) AS old_row
    FULL JOIN (SELECT {columns} FROM {new_file} AS file) AS new_row
    ON old_row.pair = new_row.pair AND old_row.repetition = new_row.repetition
)
"""
# Of each column, by its place from 0.
_KEY = "coalesce(new_row.key_{place}, old_row.key_{place})::VARCHAR"
_OLD_VALUE = "old_row.value_{place}::VARCHAR"
_NEW_VALUE = "new_row.value_{place}::VARCHAR"
_IS_CHANGED = "old_row.value_{place} IS DISTINCT FROM new_row.value_{place}"
# How much a row differs in the column by which examples are ordered.
_SIZE = """abs(
    coalesce(try_cast(new_row.{column} AS DOUBLE), 0)
    - coalesce(try_cast(old_row.{column} AS DOUBLE), 0)
)"""
_COUNTS = """
SELECT
    count(*) FILTER (WHERE kind = 'added'),
    count(*) FILTER (WHERE kind = 'removed'),
    count(*) FILTER (WHERE kind = 'changed'),
    [{changed_by_column}]
FROM {pairs}
"""
# DuckDB counts the items of a list from 1.
_CHANGED = "count(*) FILTER (WHERE kind = 'changed' AND changes[{place} + 1])"
# Only so many rows of each kind are held in memory.
_EXAMPLES = """
SELECT kind, example.key, example.old_values, example.new_values
FROM (
    SELECT
        kind,
        unnest(
            min(
                {{
                    'place': -size,
                    'key': key,
                    'old_values': old_values,
                    'new_values': new_values
                }},
                {limit}
            )
        ) AS example
    FROM {pairs}
    WHERE kind IS NOT NULL
    GROUP BY kind
)
ORDER BY kind, example
"""


class Change(BaseModel, frozen=True):
    """One row that is `added`, `removed` or `changed`."""

    kind: str
    key: tuple[Value, ...]  # its values of `Differences.paired_by`
    columns: dict[str, tuple[Value, Value]]  # of a changed row: before and after, where they differ


class Differences(BaseModel, frozen=True):
    """Counts of rows, columns that come, go, or change their type, and examples of each change."""

    # The columns that tell rows apart. If none do, a changed row is one removed and one added.
    key: tuple[str, ...]
    paired_by: tuple[str, ...]  # the key; without one, all columns that both versions have
    added: int
    removed: int
    changed: int
    columns: dict[str, int]  # how many of the changed rows differ in a column; only those with any
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_retyped: dict[str, tuple[str, str]]  # the types before and after, as DuckDB calls them
    examples: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both versions are the same."""
        rows = self.added + self.removed + self.changed
        columns = (self.columns_added, self.columns_removed, self.columns_retyped)
        return rows == 0 and not any(columns)


def find_differences(
    old: Path,
    new: Path,
    old_columns: Sequence[NamedColumn],
    new_columns: Sequence[NamedColumn],
    key: Sequence[str],
    engine: Engine,
    *,
    with_examples: bool = True,
    first_by: str = "",
) -> Differences:
    """Compare two versions of a period's rows: their Parquet files in the engine's folder.

    Whole rows are compared if there is no key, if a version lacks a column of it, or if two rows of
    a version have the same values in it. Examples take longer than the counts. They are the rows
    with the largest absolute change in the column `first_by`; without it, the first ones by key.
    """
    before = {column.name: column.type for column in old_columns}
    after = {column.name: column.type for column in new_columns}
    shared = [column for column in new_columns if column.name in before]
    names = [column.name for column in shared]
    retyped = {}
    for name in names:
        if before[name] != after[name]:
            retyped[name] = (before[name], after[name])
    row_key = _row_key(key, shared, [old, new], engine)
    paired_by: Sequence[str] = names
    compared: Sequence[str] = []
    if row_key:
        paired_by = row_key
        compared = [name for name in names if name not in row_key]
    size = _size(first_by, paired_by, compared)
    pairs = _pairs(old, new, paired_by, compared, retyped, size)
    added, removed, changed, changed_by_column = _count(pairs, compared, engine)
    columns_added = [name for name in after if name not in before]
    columns_removed = [name for name in before if name not in after]
    examples = _examples(pairs, compared, engine) if with_examples else ()
    return Differences(
        key=row_key,
        paired_by=tuple(paired_by),
        added=added,
        removed=removed,
        changed=changed,
        columns={name: count for name, count in changed_by_column.items() if count},
        columns_added=tuple(columns_added),
        columns_removed=tuple(columns_removed),
        columns_retyped=retyped,
        examples=examples,
    )


def _row_key(
    key: Sequence[str], shared: Sequence[NamedColumn], files: Sequence[Path], engine: Engine
) -> tuple[str, ...]:
    """Return the key in the spelling of the columns; empty if it does not tell rows apart."""
    row_key = resolve_names(key, shared)
    if not row_key:
        return ()
    is_unique = all(_is_unique(row_key, file, engine) for file in files)
    return row_key if is_unique else ()


def _is_unique(key: Sequence[str], path: Path, engine: Engine) -> bool:
    sql = _IS_UNIQUE.format(key=", ".join(map(quoted, key)), file=read_parquet(path))
    return bool(engine.connection.execute(sql).fetchall()[0][0])


def _pairs(
    old: Path,
    new: Path,
    paired_by: Sequence[str],
    compared: Sequence[str],
    retyped: Mapping[str, tuple[str, str]],
    size: str,
) -> str:
    # Columns are called by their places: an author's column may have any name, also one of those
    # here.
    keys = [_comparable(name, retyped) for name in paired_by]
    values = [_comparable(name, retyped) for name in compared]
    pair = f"hash({', '.join(['true', *keys])})"
    # Rows may be equal: the second one of a version is beside the second one of the other version.
    repetition = f"row_number() OVER (PARTITION BY {pair})"
    columns = ["true AS is_there", f"{pair} AS pair", f"{repetition} AS repetition"]
    columns += [f"{value} AS key_{place}" for place, value in enumerate(keys)]
    columns += [f"{value} AS value_{place}" for place, value in enumerate(values)]
    changes = _for_each(values, _IS_CHANGED)
    return _PAIRS.format(
        key=", ".join(_for_each(keys, _KEY)),
        old_values=", ".join(_for_each(values, _OLD_VALUE)),
        new_values=", ".join(_for_each(values, _NEW_VALUE)),
        changes=", ".join(changes),
        size=size,
        is_changed=" OR ".join(["false", *changes]),
        columns=", ".join(columns),
        old_file=read_parquet(old),
        new_file=read_parquet(new),
    )


def _size(first_by: str, paired_by: Sequence[str], compared: Sequence[str]) -> str:
    """Return the SQL of how much a pair of rows differs in a column; 0 without that column."""
    if first_by in compared:
        return _SIZE.format(column=f"value_{compared.index(first_by)}")
    if first_by in paired_by:
        return _SIZE.format(column=f"key_{paired_by.index(first_by)}")
    return "0"


def _for_each(columns: Sequence[str], template: str) -> list[str]:
    return [template.format(place=place) for place in range(len(columns))]


def _comparable(name: str, retyped: Mapping[str, tuple[str, str]]) -> str:
    value = f"file.{quoted(name)}"
    return f"{value}::VARCHAR" if name in retyped else value


def _count(
    pairs: str, compared: Sequence[str], engine: Engine
) -> tuple[int, int, int, dict[str, int]]:
    counts = ", ".join(_for_each(compared, _CHANGED))
    sql = _COUNTS.format(changed_by_column=counts, pairs=pairs)
    added, removed, changed, changed_by_column = engine.connection.execute(sql).fetchall()[0]
    return added, removed, changed, dict(zip(compared, changed_by_column, strict=True))


def _examples(pairs: str, compared: Sequence[str], engine: Engine) -> tuple[Change, ...]:
    sql = _EXAMPLES.format(pairs=pairs, limit=_SHOWN_EXAMPLES)
    examples = []
    for kind, key, old_values, new_values in engine.connection.execute(sql).fetchall():
        columns = {}
        if kind == "changed":
            for name, old_value, new_value in zip(compared, old_values, new_values, strict=True):
                if old_value != new_value:
                    columns[name] = (old_value, new_value)
        examples.append(Change(kind=kind, key=tuple(key), columns=columns))
    return tuple(examples)
