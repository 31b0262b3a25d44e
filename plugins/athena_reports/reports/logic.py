"""A digest of what makes a report's rows, so that periods published by other logic can be told."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateNotFound, meta

from athena_reports.periods.sql_period import ParamValue, literal
from athena_reports.reports.canonical import Canonical, canonical
from athena_reports.reports.input import Input
from athena_reports.rows.transforms import describe

# What a digest consists of. Whoever changes that for a report whose rows stay the same gives it another name.
KIND = "v2"


def is_outdated(published: str, today: str) -> bool:
    """Return whether a period was published by other logic than today's, both as `logic_digest` gives it.

    Of a digest of another kind, or of none, this is not known. Such a period is not outdated.
    """
    prefix = f"{KIND}:"
    is_known = published.startswith(prefix) and today.startswith(prefix)
    return is_known and published != today


def logic_digest(
    sql: str,
    folder: Path,
    *,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Input],
    late_by: timedelta,
    transforms: Canonical,
) -> str:
    """Return `KIND`, a colon, and 16 hexadecimal digits that stay the same as long as rows are made in the same way.

    They are the same in every process. They cover the template with the files that it includes, the params, what the
    filters on partitions follow from, and the transforms as `read_transforms` gives them.
    """
    parts = {
        "template": [sql, *_included(sql, folder)],
        "params": {name: literal(value) for name, value in params.items()},
        "late_by": f"{late_by.total_seconds()!r} seconds",
        "inputs": [_filter(source) for source in sorted(inputs, key=lambda source: source.table)],
        "transforms": transforms,
    }
    text = json.dumps(parts, sort_keys=True)
    return f"{KIND}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def read_transforms(transforms: Sequence[Callable[..., Any]], logic_version: str) -> Canonical:
    """Return what tells some transforms from others: the `logic_version` if there is one, else what they are.

    Of a transform of this package these are its public name and its arguments, of an author's function what
    `canonical` reads.

    Raises:
        UnreadableError: A transform is not the same in every process.
    """
    if logic_version:
        return ["logic_version", logic_version]
    return [canonical(transform, describe(transforms, number)) for number, transform in enumerate(transforms, start=1)]


def _included(sql: str, folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yield name and text of the files that a template includes, as far as their names are constants.

    The text of a file that is not there is None. A template may say that it goes on without it.
    """
    environment = Environment(loader=FileSystemLoader(folder))
    waiting = [sql]
    seen = set()
    while waiting:
        text = waiting.pop()
        if "{%" not in text:  # then it includes nothing, and to parse it would take long
            continue
        for name in sorted(filter(None, meta.find_referenced_templates(environment.parse(text)))):
            if name in seen:
                continue
            seen.add(name)
            included = _text(environment, name)
            yield name, included
            if included is not None:
                waiting.append(included)


def _text(environment: Environment, name: str) -> str | None:
    assert environment.loader is not None
    try:
        text, _, _ = environment.loader.get_source(environment, name)
    except TemplateNotFound:
        return None
    return text


def _filter(source: Input) -> dict[str, Canonical | bool]:
    """Return what the filter on an input's partitions follows from."""
    return {
        "table": source.table,
        "columns": list(source.columns),
        "zone": source.zone,
        "format": source.format,
        "kind": source.kind,
        "previous": source.previous,
    }
