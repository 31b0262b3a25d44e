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

from jinja2 import Environment, FileSystemLoader, TemplateNotFound, meta

from athena_reports.inputs.published import Published, Source
from athena_reports.reports.canonical import Canonical, canonical
from athena_reports.rows.transforms import describe
from athena_reports.sql.literals import ParamValue, literal

# Names what the digest of the logic consists of. Whoever changes that for a report whose rows stay
# the same gives it another name.
KIND = "v3"
# Likewise of the digests of its parts.
_PART_KIND = "v2"

UNKNOWN = "unknown"
"""Stands for the digest if a transform cannot be read. Two of these are not known to be equal."""

# Stands for the usual format of whatever keys an input has. It was the default once.
_DEFAULT_FORMAT = "%Y-%m-%d"


def is_outdated(published: str, today: str) -> bool:
    """Return whether a period was published by other logic than today's.

    Of a digest of another kind, or of none, this is not known. Such a period is not outdated.

    Args:
        published: The digest of the period, as `logic_digest` gave it.
        today: The digest of today's logic.
    """
    prefix = f"{KIND}:"
    is_known = published.startswith(prefix) and today.startswith(prefix)
    return is_known and published != today


def is_same(published: str, today: str) -> bool:
    """Return whether two digests are known and equal."""
    return published not in ("", UNKNOWN) and published == today


def logic_digest(query_logic: str, transforms_logic: str) -> str:
    """Return the digest of the logic that made some rows: `KIND`, a colon, 16 hexadecimal digits.

    Args:
        query_logic: What `query_digest` gives for the query that ran; empty if a DAG of one's own
            does not say.
        transforms_logic: Likewise what `transforms_digest` gives for the transforms; or `UNKNOWN`.
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
    """Return the digest of what makes the query.

    It is the same in every process, and stays the same as long as the query is made in the same
    way.

    Args:
        sql: The template.
        folder: The SQL folder, from which the template may include files. These count too.
        params: The constants of the template.
        inputs: The tables. What the filters on their partitions follow from counts. A table
            without partitions has no filter, and does not count.
        late_by: How late events may land. The filters follow from that too.
    """
    partitioned = [source for source in inputs if source.is_partitioned]
    inputs_by_table = sorted(partitioned, key=lambda source: source.table)
    parts = {
        "template": [sql, *_included_files(sql, folder)],
        "params": {name: literal(value) for name, value in params.items()},
        "late_by": f"{late_by.total_seconds()!r} seconds",
        "inputs": [_filter(source) for source in inputs_by_table],
    }
    return _digest(_PART_KIND, parts)


def transforms_digest(transforms: Canonical) -> str:
    """Return the digest of the transforms: of what `read_transforms` gives.

    The other part of the logic is in the rendered SQL. If this one is the same, that SQL with
    today's transforms gives the rows of the logic of then.
    """
    return _digest(_PART_KIND, {"transforms": transforms})


def _digest(kind: str, parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{kind}:{digest[:16]}"


def read_transforms(transforms: Sequence[Callable[..., Any]], logic_version: str) -> Canonical:
    """Return what tells some transforms from others.

    It is the `logic_version`, or if that is empty what the transforms are: of a transform of this
    package its public name and its arguments, of an author's function what `canonical` reads.

    Raises:
        UnreadableError: A transform is not the same in every process.
    """
    if logic_version:
        return ["logic_version", logic_version]
    texts = []
    for number, transform in enumerate(transforms, start=1):
        place = describe(transforms, number)
        texts.append(canonical(transform, place))
    return texts


def _included_files(sql: str, folder: Path) -> list[tuple[str, str | None]]:
    """Return name and text of the files that a template includes by names that are constants.

    The text of a file that is not there is None. A template may say that it goes on without it.
    """
    environment = Environment(loader=FileSystemLoader(folder))
    text_of_file: dict[str, str | None] = {}
    unread = [sql]
    while unread:
        for name in _included_names(unread.pop(), environment):
            if name in text_of_file:
                continue
            text = _text(environment, name)
            text_of_file[name] = text
            if text is not None:
                unread.append(text)
    return list(text_of_file.items())


def _included_names(template: str, environment: Environment) -> list[str]:
    if "{%" not in template:  # then it includes nothing, and to parse it would take long
        return []
    # A name that is not a constant is None here.
    names = meta.find_referenced_templates(environment.parse(template))
    return sorted(name for name in names if name is not None)


def _text(environment: Environment, name: str) -> str | None:
    assert environment.loader is not None
    try:
        text, _, _ = environment.loader.get_source(environment, name)
    except TemplateNotFound:
        return None
    return text


def _filter(source: Source) -> dict[str, Canonical | bool]:
    """Return what the filter on an input's partitions follows from.

    What an input did not have at first counts only if it is given: a new field of an input must not
    change the digest of reports that do without it.
    """
    if isinstance(source, Published):
        return {
            "table": source.table,
            "parts_of": source.cadence.description,
            "parts": source.parts,
        }
    described: dict[str, Canonical | bool] = {
        "table": source.table,
        "columns": list(source.columns),
        "zone": source.zone,
        "format": _DEFAULT_FORMAT if source.format is None else source.format,
        "kind": source.kind,
        "previous": source.previous,
    }
    if source.only:
        described["only"] = [f"{key} IN {literal(values)}" for key, values in source.only.items()]
    if source.last_year:
        described["last_year"] = True
    return described
