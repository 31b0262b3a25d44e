"""What two versions of a period's rows differ in, by key: rows added, removed and changed, and in which columns."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from athena_reports.rows.columns import Column, is_number, literal, quoted
from athena_reports.rows.engine import Engine

_EXAMPLES = 5
Value = str | None


class Change(BaseModel, frozen=True):
    """One row that is `added`, `removed` or `changed`: its key, and the values before and after that are unlike."""

    kind: str
    key: tuple[Value, ...]
    columns: dict[str, tuple[Value, Value]]


class Differences(BaseModel, frozen=True):
    """Counts of rows and, by column, of changed rows; columns that come, go, or change their type; some changes."""

    key: tuple[str, ...]  # empty: nothing tells rows apart, so a changed row is one removed and one added
    added: int
    removed: int
    changed: int
    columns: dict[str, int]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_retyped: dict[str, tuple[str, str]]
    examples: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both versions are the same."""
        rows = self.added or self.removed or self.changed
        return not (rows or self.columns_added or self.columns_removed or self.columns_retyped)


def find_differences(
    old: Path,
    new: Path,
    old_columns: Sequence[Column],
    new_columns: Sequence[Column],
    key: Sequence[str],
    engine: Engine,
) -> Differences:
    """Compare two Parquet files by the values of the key's columns; without one that tells rows apart by whole rows."""
    before = {column.name: column.type for column in old_columns}
    after = {column.name: column.type for column in new_columns}
    shared = [name for name in after if name in before]
    if _tells_apart(key, shared, (old, new), engine):
        keys, compared = list(key), [name for name in shared if name not in key]
        equal = _equal_keys(keys)
    else:
        key, keys, compared = (), shared, []
        equal = [*_equal_keys(keys), "o.repetition = n.repetition"]
    old_rows, new_rows = _rows(old, keys, compared), _rows(new, keys, compared)
    joined = f"({old_rows}) AS o FULL JOIN ({new_rows}) AS n ON {' AND '.join(equal)}"
    unlike = [
        f"o.is_there AND n.is_there AND {_unlike(place, before[name], after[name])}"
        for place, name in enumerate(compared)
    ]
    kinds = {"added": "o.is_there IS NULL", "removed": "n.is_there IS NULL", "changed": " OR ".join(unlike) or "false"}
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in (*kinds.values(), *unlike))
    run = engine.connection.execute
    added, removed, changed, *by_column = run(f"SELECT {counts} FROM {joined}").fetchall()[0]
    cases = " ".join(f"WHEN {condition} THEN '{kind}'" for kind, condition in kinds.items())
    shown = [f"coalesce(n.key_{place}, o.key_{place})::VARCHAR" for place in range(len(keys))]
    pairs = [f"{side}.value_{place}::VARCHAR" for place in range(len(compared)) for side in ("o", "n")]
    where = f"{' OR '.join(kinds.values())} ORDER BY ALL LIMIT {_EXAMPLES}"
    rows = run(f"SELECT {', '.join([f'CASE {cases} END', *shown, *pairs])} FROM {joined} WHERE {where}").fetchall()
    return Differences(
        key=tuple(key),
        added=added,
        removed=removed,
        changed=changed,
        columns={name: count for name, count in zip(compared, by_column, strict=True) if count},
        columns_added=tuple(name for name in after if name not in before),
        columns_removed=tuple(name for name in before if name not in after),
        columns_retyped={name: (before[name], after[name]) for name in shared if before[name] != after[name]},
        examples=tuple(_change(row, len(shown), compared) for row in rows),
    )


def _tells_apart(key: Sequence[str], shared: Sequence[str], paths: Sequence[Path], engine: Engine) -> bool:
    """Whether both files have the key's columns, and no two rows of one have the same values in them."""
    if not key or not set(key) <= set(shared):
        return False
    names = ", ".join(map(quoted, key))
    sources = [f"read_parquet({literal(str(path))})" for path in paths]
    counts = "SELECT count(*) = (SELECT count(*) FROM (SELECT DISTINCT {names} FROM {source})) FROM {source}"
    answers = (engine.connection.execute(counts.format(names=names, source=source)).fetchall() for source in sources)
    return all(answer[0][0] for answer in answers)


def _rows(path: Path, keys: Sequence[str], compared: Sequence[str]) -> str:
    """Return SQL of the rows of a file, and how often each has the values of its keys among those before.

    Columns are called by their places. A report may give its own any name, also that of one that is made here.
    """
    columns = [f"file.{quoted(name)} AS key_{place}" for place, name in enumerate(keys)]
    columns += [f"file.{quoted(name)} AS value_{place}" for place, name in enumerate(compared)]
    same = ", ".join(f"file.{quoted(name)}" for name in keys)
    window = f"PARTITION BY {same}" if same else ""
    columns += [f"row_number() OVER ({window}) AS repetition", "true AS is_there"]
    return f"SELECT {', '.join(columns)} FROM read_parquet({literal(str(path))}) AS file"


def _equal_keys(keys: Sequence[str]) -> list[str]:
    return [f"o.key_{place} IS NOT DISTINCT FROM n.key_{place}" for place in range(len(keys))]


def _unlike(place: int, before: str, after: str) -> str:
    is_same = before == after or (is_number(before) and is_number(after))
    old, new = (f"{side}.value_{place}{'' if is_same else '::VARCHAR'}" for side in ("o", "n"))
    return f"{old} IS DISTINCT FROM {new}"


def _change(row: Sequence[Value], keys: int, compared: Sequence[str]) -> Change:
    kind, key, values = str(row[0]), tuple(row[1 : keys + 1]), row[keys + 1 :]
    pairs = dict(zip(compared, zip(values[::2], values[1::2], strict=True), strict=True))
    unlike = {name: pair for name, pair in pairs.items() if kind == "changed" and pair[0] != pair[1]}
    return Change(kind=kind, key=key, columns=unlike)
