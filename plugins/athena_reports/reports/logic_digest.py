"""A digest of what makes a report's rows, so that periods published by other logic can be told."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateNotFound, meta

from athena_reports.inputs.published import Published, Source
from athena_reports.periods.sql_literals import ParamValue, literal
from athena_reports.reports.canonical import Canonical, canonical
from athena_reports.rows.transforms import describe

# Names what a digest consists of. Whoever changes that for a report whose rows stay the same gives
# it another name.
KIND = "v2"

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


def logic_digest(
    sql: str,
    folder: Path,
    *,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Source],
    late_by: timedelta,
    transforms: Canonical,
) -> str:
    """Return `KIND`, a colon, and 16 hexadecimal digits.

    They are the same in every process, and stay the same as long as rows are made in the same way.

    Args:
        sql: The template.
        folder: The SQL folder, from which the template may include files. These count too.
        params: The constants of the template.
        inputs: The tables. What the filters on their partitions follow from counts. A table
            without partitions has no filter, and does not count.
        late_by: How late events may land. The filters follow from that too.
        transforms: What `read_transforms` gives.
    """
    partitioned = [source for source in inputs if source.is_partitioned]
    inputs_by_table = sorted(partitioned, key=lambda source: source.table)
    parts = {
        "template": [sql, *_included_files(sql, folder)],
        "params": {name: literal(value) for name, value in params.items()},
        "late_by": f"{late_by.total_seconds()!r} seconds",
        "inputs": [_filter(source) for source in inputs_by_table],
        "transforms": transforms,
    }
    return _digest(parts)


def transforms_digest(transforms: Canonical) -> str:
    """Return the digest of the transforms alone, written like that of the logic.

    All other parts of the logic are in the rendered SQL. If this one is the same, that SQL with
    today's transforms gives the rows of the logic of then.
    """
    return _digest({"transforms": transforms})


def _digest(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{KIND}:{digest[:16]}"


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
