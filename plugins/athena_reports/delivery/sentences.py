"""What is said of a content, once for mail, text and Slack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from athena_reports.delivery.content import Content, Correction, rank_columns
from athena_reports.delivery.language import (
    NULL,
    Language,
    Number,
    in_brackets,
    instant_in_words,
    number_in_words,
    one_line,
    period_in_words,
    shortened,
    value_in_words,
)
from athena_reports.delivery.phrases import phrase
from athena_reports.delivery.table_columns import label_of
from athena_reports.rows.differences import Change, Value

_WEB_ADDRESS = re.compile(r"https?://[!-~]+")
_PRODUCTION = "prd"
_NAMED_ROWS = 3  # of those that are new
_LONGEST_NAME = 40  # characters, of what a sentence calls a row by
_LONGEST_EXAMPLE = 60  # characters, of a value of an example
_VALUES_IN_EXAMPLE = 6


@dataclass(frozen=True)
class Link:
    """An address, and what to call it."""

    text: str
    url: str


@dataclass(frozen=True)
class Sentences:
    """What is said of a content, in the order in which it is read.

    Attributes:
        notices: What a reader has to know first.
        headline: The report and its period.
        figures: Total and number of rows, each with the change against the period before.
        differences: What a correction changes, in columns and by examples.
        movement: Who is new among the rows shown, and who of all rows rose or fell most.
        empty: Why there are no rows; empty if there are some.
        left_out: Which rows and columns are not shown, and why there is no attachment.
        origin: When it was published, and which version it is.
        links: Where to look further.
    """

    notices: tuple[str, ...]
    headline: str
    figures: tuple[str, ...]
    differences: tuple[str, ...]
    movement: tuple[str, ...]
    empty: str
    left_out: tuple[str, ...]
    origin: tuple[str, ...]
    links: tuple[Link, ...]


def subject(content: Content, language: Language) -> str:
    """Return the content in one line.

    A correction begins with that word. What is provisional, partial, a preview, or of another
    environment than production, says so.
    """
    line = f"{content.report}: {period_in_words(content.period, language)}"
    if content.correction is not None:
        line = phrase(language, "correction_prefix") + line
    marks = []
    if content.is_preview:
        marks.append(phrase(language, "preview_mark"))
    if content.provisional:
        marks.append(phrase(language, "provisional_mark"))
    if content.partial:
        marks.append(phrase(language, "partial_mark"))
    if content.environment != _PRODUCTION:
        marks.append(content.environment)
    if marks:
        line += in_brackets(_listed(marks, language), language)
    return one_line(line)


def sentences(content: Content, shown: Sequence[str], language: Language) -> Sentences:
    """Return all that is said of a content. Each sentence is one line.

    Args:
        content: The content.
        shown: The columns of the table beside it.
        language: The language.
    """
    empty = ""
    if not content.total_rows:
        empty = phrase(language, "empty_partial" if content.partial else "empty")
    period = period_in_words(content.period, language, with_zone=True)
    return Sentences(
        notices=_notices(content, language),
        headline=one_line(f"{content.report}: {period}"),
        figures=_figures(content, language),
        differences=_differences(content, language),
        movement=_movement(content, language),
        empty=empty,
        left_out=_left_out(content, shown, language),
        origin=_origin(content, language),
        links=_links(content, language),
    )


def _notices(content: Content, language: Language) -> tuple[str, ...]:
    notices = []
    if content.is_preview:
        notices.append(phrase(language, "preview"))
    if content.correction is not None:
        notices.append(_correction(content.correction, content, language))
    if content.provisional:
        when = _instant(content.settles_at, content, language)
        notices.append(phrase(language, "provisional", when=when))
    if content.partial:
        notices.append(_partial(content, language))
    if content.warned_checks:
        notices.append(_warned(content, language))
    return tuple(notices)


def _correction(correction: Correction, content: Content, language: Language) -> str:
    when = _instant(correction.published_at, content, language)
    found = correction.differences
    if found is None:
        return phrase(language, "correction_without_rows", when=when)
    counts = []
    for kind, count in (
        ("added", found.added),
        ("removed", found.removed),
        ("changed", found.changed),
    ):
        if count:
            counts.append(phrase(language, kind, count=number_in_words(count)))
    if not counts:
        counts.append(phrase(language, "no_difference"))
    differences = _listed(counts, language)
    return phrase(language, "correction", when=when, differences=differences)


def _partial(content: Content, language: Language) -> str:
    if not content.missing_partitions:
        return phrase(language, "partial_unknown")
    count = number_in_words(content.missing_partitions)
    return phrase(language, "partial", count=count)


def _warned(content: Content, language: Language) -> str:
    count = number_in_words(len(content.warned_checks))
    names = [one_line(name) for name in content.warned_checks]
    return phrase(language, "warned", count=count, names=_listed(names, language))


def _figures(content: Content, language: Language) -> tuple[str, ...]:
    figures = []
    if content.total is not None:
        figures.append(_total(content.total, content, language))
    count = number_in_words(content.total_rows)
    if content.previous_rows is None:
        noun = phrase(language, content.period.cadence.noun)
        figures.append(phrase(language, "rows", count=count))
        figures.append(phrase(language, "no_comparison", noun=noun))
    else:
        change = _change(content.total_rows, content.previous_rows, content, language, rows="_rows")
        figures.append(phrase(language, "rows_compared", count=count, change=change))
    return tuple(figures)


def _total(total: Number, content: Content, language: Language) -> str:
    """Return the sentence on the total of the column that has bars."""
    unit = ""
    for column in content.columns:
        if column.name == content.bar:
            unit = one_line(column.unit)
    number = _with_unit(number_in_words(total), unit)
    name = one_line(content.bar)
    if content.previous_total is None:
        return phrase(language, "total", column=name, number=number)
    change = _change(total, content.previous_total, content, language, unit=unit)
    return phrase(language, "total_compared", column=name, number=number, change=change)


def _with_unit(number: str, unit: str) -> str:
    return f"{number} {unit}" if unit else number


def _change(
    number: Number,
    previous: Number,
    content: Content,
    language: Language,
    *,
    unit: str = "",
    rows: Literal["", "_rows"] = "",
) -> str:
    """Return how a number differs from that of the period before, absolutely and in per cent."""
    noun = phrase(language, content.period.cadence.noun)
    before = _decimal(previous)
    difference = _decimal(number) - before
    if not difference:
        return phrase(language, "same", noun=noun)
    if not before:
        return phrase(language, "more_than_0", noun=noun)
    kind = "more" if difference > 0 else "less"
    return phrase(
        language,
        f"{kind}{rows}",
        difference=_with_unit(number_in_words(abs(difference)), unit),
        noun=noun,
        percent=f"{difference / abs(before):+,.1%}",
    )


def _decimal(number: Number) -> Decimal:
    """Return a number as a Decimal; a float with the 15 digits that are shown of it."""
    return Decimal(f"{number:.15g}") if isinstance(number, float) else Decimal(number)


def _differences(content: Content, language: Language) -> tuple[str, ...]:
    if content.correction is None or content.correction.differences is None:
        return ()
    found = content.correction.differences
    texts = []
    if found.columns:
        columns = []
        for name, rows in found.columns.items():
            count = number_in_words(rows)
            column = phrase(language, "changed_column", column=one_line(name), count=count)
            columns.append(column)
        texts.append(phrase(language, "changed_columns", columns=_listed(columns, language)))
    for kind, names in (
        ("columns_added", found.columns_added),
        ("columns_removed", found.columns_removed),
    ):
        if names:
            listed = _listed([one_line(name) for name in names], language)
            texts.append(phrase(language, kind, columns=listed))
    examples = [_example(change, found.paired_by, language) for change in found.examples]
    return (*texts, *examples)


def _example(change: Change, names: Sequence[str], language: Language) -> str:
    """Return one row that was added, removed or changed, in words."""
    values = []
    for name, value in zip(names, change.key, strict=True):
        values.append(f"{one_line(name)} {_example_value(value)}")
    row = _listed(_a_few(values), language)
    if change.kind != "changed":
        return phrase(language, f"example_{change.kind}", row=row)
    changed = []
    for name, (before, after) in change.columns.items():
        change_of_value = f"{_example_value(before)} → {_example_value(after)}"
        changed.append(f"{one_line(name)} {change_of_value}")
    in_words = _listed(_a_few(changed), language)
    if not row:
        return phrase(language, "example_changed_nameless", values=in_words)
    return phrase(language, "example_changed", row=row, values=in_words)


def _example_value(value: Value) -> str:
    if value is None:
        return NULL
    return shortened(one_line(value), _LONGEST_EXAMPLE)


def _a_few(texts: Sequence[str]) -> list[str]:
    if len(texts) <= _VALUES_IN_EXAMPLE:
        return list(texts)
    return [*texts[:_VALUES_IN_EXAMPLE], "\N{HORIZONTAL ELLIPSIS}"]


def _movement(content: Content, language: Language) -> tuple[str, ...]:
    """Return who is new among the rows shown, and who of all rows rose and fell most."""
    movement = content.movement
    if movement is None:
        return ()
    names = [column.name for column in content.columns]
    rank_place = names.index(movement.rank)
    previous_place = names.index(movement.previous_rank)
    new_rows = [row for row in content.rows if row[previous_place] is None]
    texts = []
    if new_rows and len(new_rows) == len(content.rows):
        texts.append(phrase(language, "all_new"))
    elif new_rows:
        new = [_name_of(row, content, language) for row in new_rows]
        texts.append(phrase(language, "new", names=_first_names(new, language)))
    for kind, rows in (("rises", movement.rises), ("falls", movement.falls)):
        if not rows:
            continue
        places = []
        for row in rows:
            place = phrase(
                language,
                "moved",
                name=_name_of(row, content, language),
                before=number_in_words(row[previous_place]),
                after=number_in_words(row[rank_place]),
            )
            places.append(place)
        texts.append(phrase(language, kind, names=_listed(places, language)))
    return tuple(texts)


def _name_of(row: Sequence[Any], content: Content, language: Language) -> str:
    """Return what a sentence calls a row by: its key, with the names of what the key identifies.

    Without a key, it is the first value that is not a rank.
    """
    names = [column.name for column in content.columns]
    values = dict(zip(names, row, strict=True))
    ranks = rank_columns(content.movement)
    key = [name for name in content.key if name not in ranks]
    key = key or [name for name in names if name not in ranks][:1]
    texts = []
    for name in key:
        value = values[label_of(name, names)]
        if value is None:
            value = values[name]
        text = NULL if value is None else one_line(value_in_words(value, language))
        texts.append(shortened(text, _LONGEST_NAME))
    return " ".join(texts) or NULL


def _first_names(names: Sequence[str], language: Language) -> str:
    listed = _listed(names[:_NAMED_ROWS], language)
    more = len(names) - _NAMED_ROWS
    if more <= 0:
        return listed
    return phrase(language, "and_more", names=listed, count=number_in_words(more))


def _left_out(content: Content, shown: Sequence[str], language: Language) -> tuple[str, ...]:
    texts = []
    more = content.total_rows - len(content.rows)
    if more > 0:
        texts.append(phrase(language, "left_out", count=number_in_words(more)))
    in_table = {one_line(name) for name in shown}
    names = [one_line(column.name) for column in content.columns]
    names = [name for name in names if name not in in_table]
    if content.rows and names:
        listed = _first_names(names, language)
        count = number_in_words(len(names))
        texts.append(phrase(language, "columns_left_out", count=count, names=listed))
    if content.too_large and content.file_uri:
        texts.append(phrase(language, "too_large", uri=one_line(content.file_uri)))
    elif content.too_large:
        texts.append(phrase(language, "too_large_without_address"))
    return tuple(texts)


def _origin(content: Content, language: Language) -> tuple[str, ...]:
    when = _instant(content.published_at, content, language)
    origin = phrase(
        language,
        "origin",
        version=one_line(content.version),
        environment=one_line(content.environment),
    )
    return (phrase(language, "published", when=when), origin)


def _links(content: Content, language: Language) -> tuple[Link, ...]:
    links = []
    for name, url in (("page_link", content.page_url), ("query_link", content.query_url)):
        if _WEB_ADDRESS.fullmatch(url):
            links.append(Link(phrase(language, name), url))
    return tuple(links)


def _instant(instant: datetime, content: Content, language: Language) -> str:
    return instant_in_words(instant, content.period.cadence.zone, language)


def _listed(texts: Sequence[str], language: Language) -> str:
    return phrase(language, "list_separator").join(texts)
