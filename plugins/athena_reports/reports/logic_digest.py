"""Digests of what makes a report's rows, so that periods published by other logic can be told.

The logic has two parts: that of the query, and that of the transforms. Each task of a run hands on
the digest of the part that it ran. So the logic of a version is that of its rows, also if the
report was edited while the run was under way.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, meta

from athena_reports.inputs.published import Published, Source
from athena_reports.reports.canonical import UnreadableError, canonical
from athena_reports.rows.transforms import transform_label
from athena_reports.sql.literals import ParamValue, literal

# Names what the digest of the logic consists of. Whoever changes that for a report whose rows stay
# the same gives it another name.
KIND = "v3"
# Likewise of the digests of its parts.
_PART_KIND = "v2"

UNKNOWN = "unknown"
"""Stands for the digest if a transform cannot be read. Two of these are not known to be equal."""


def is_outdated(published: str, today: str) -> bool:
    """Return whether a period is known to be published by other logic, by the digests of both."""
    # Digests of another kind, or of none, cannot be compared.
    are_known = all(digest.startswith(f"{KIND}:") for digest in (published, today))
    return are_known and published != today


def logic_digest(query_logic: str, transforms_logic: str) -> str:
    """Return the digest of the logic that made some rows: `KIND`, a colon, 16 hexadecimal digits.

    Empty if that of a part is, as in a DAG written by hand; `UNKNOWN` if that of the transforms is.
    """
    if not query_logic or not transforms_logic:
        return ""
    if transforms_logic == UNKNOWN:
        return UNKNOWN
    return _digest(KIND, {"query": query_logic, "transforms": transforms_logic})


def query_digest(
    sql: str,
    folder: Path,
    *,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Source],
    late_by: timedelta,
) -> str:
    """Return the digest of what makes the query, with the files that its template includes."""
    literals = {name: literal(value) for name, value in params.items()}
    filters = [_filter(source) for source in inputs if source.is_partitioned]
    parts = {
        "template": [sql, *_included_files(sql, folder)],
        "params": literals,
        "late_by": late_by.total_seconds(),
        "inputs": sorted(filters),
    }
    return _digest(_PART_KIND, parts)


def transforms_digest(transforms: Sequence[Callable[..., Any]], logic_version: str) -> str:
    """Return the digest of `logic_version` if there is one, else of the transforms.

    UnreadableError if a transform cannot be read.
    """
    if logic_version:
        return _digest(_PART_KIND, {"logic_version": logic_version})
    texts = []
    for number, transform in enumerate(transforms, start=1):
        try:
            texts.append(canonical(transform))
        except (UnreadableError, RecursionError) as error:
            is_endless = isinstance(error, RecursionError)
            problem = "its values contain circular references" if is_endless else error
            raise UnreadableError(f"{transform_label(transforms, number)}: {problem}") from error
    return _digest(_PART_KIND, {"transforms": texts})


def _digest(kind: str, parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{kind}:{digest[:16]}"


def _included_files(sql: str, folder: Path) -> list[tuple[str, str]]:
    environment = Environment(loader=FileSystemLoader(folder))
    text_of_file: dict[str, str] = {}
    unread = [sql]
    while unread:
        template = unread.pop()
        if "{%" not in template:  # it includes nothing, and parsing it takes long
            continue
        for name in meta.find_referenced_templates(environment.parse(template)):
            if name is None or name in text_of_file:  # None stands for a name that is computed
                continue
            path = folder / name
            if path.is_file():
                text_of_file[name] = path.read_text(encoding="utf-8")
                unread.append(text_of_file[name])
    return sorted(text_of_file.items())


def _filter(source: Source) -> str:
    if isinstance(source, Published):
        return repr((source.table, source.cadence.description, source.parts))
    layout = (source.columns, source.format, source.kind, source.zone)
    periods = (source.previous, source.last_year)
    return repr((source.table, layout, dict(source.only), periods))
