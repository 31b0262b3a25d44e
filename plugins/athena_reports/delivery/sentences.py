"""The sentences of a content, the same in mail, text and Slack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from athena_reports.delivery.content import PREVIEW, Content, Correction, row_key
from athena_reports.delivery.language import (
    NULL,
    Language,
    Number,
    in_brackets,
    instant_in_words,
    number_text,
    one_line,
    period_in_words,
    shortened,
    value_text,
)
from athena_reports.delivery.phrases import phrase
from athena_reports.delivery.table_columns import label_of
from athena_reports.rows.differences import Change

_PRODUCTION = "prd"
_LISTED_NAMES = 3
_LONGEST_VALUE = 40  # characters
_LONGEST_EXAMPLE = 300


class Link(NamedTuple):
    """An address, and what to call it."""

    text: str
    url: str


@dataclass(frozen=True)
class Sentences:
    """The sentences of a content, in the order in which they are read. Each is one line.

    Attributes:
        notices: What a reader has to know first.
        headline: The report and its period.
        figures: Total and number of rows, each beside that of the period before.
        differences: What a correction changes, in columns and by examples.
        movement: Who is new among the rows shown, and who of all rows rose or fell most.
        left_out: Which rows and columns are not shown, and why there is no attachment.
        origin: When it was published, and which version it is; or that it is a preview.
        links: Where to look further.
    """

    notices: Sequence[str]
    headline: str
    figures: Sequence[str]
    differences: Sequence[str]
    movement: Sequence[str]
    left_out: Sequence[str]
    origin: str
    links: Sequence[Link]


def subject(content: Content, language: Language) -> str:
    """Return the content in one line.

    A correction begins with that word. What is provisional or partial, or of another environment
    than production, is marked.
    """
    line = f"{content.report}: {period_in_words(content.period, language)}"
    if content.correction is not None:
        line = phrase(language, "correction_prefix") + line
    marks = []
    if content.provisional:
        marks.append(phrase(language, "provisional_mark"))
    if content.missing_partitions:
        marks.append(phrase(language, "partial_mark"))
    if content.environment != _PRODUCTION:
        marks.append(content.environment)
    if marks:
        line += in_brackets(_listed(marks, language), language)
    return one_line(line)


def sentences(content: Content, shown: Sequence[str], language: Language) -> Sentences:
    """Return the sentences of a content; `shown` are the columns of the table beside them."""
    period = period_in_words(content.period, language)
    zone = in_brackets(content.period.cadence.timezone, language)
    return Sentences(
        notices=_notices(content, language),
        headline=one_line(f"{content.report}: {period}{zone}"),
        figures=_figures(content, language),
        differences=_differences(content, language),
        movement=_movement(content, language),
        left_out=_left_out(content, shown, language),
        origin=_origin(content, language),
        links=_links(content, language),
    )


def _origin(content: Content, language: Language) -> str:
    if content.version == PREVIEW:
        return phrase(language, "origin_of_preview", environment=content.environment)
    return phrase(
        language,
        "origin",
        when=_instant(content.published_at, content, language),
        version=content.version,
        environment=content.environment,
    )


def _notices(content: Content, language: Language) -> Sequence[str]:
    notices = []
    if content.correction is not None:
        notices.append(_correction(content.correction, content, language))
    if content.provisional:
        when = _instant(content.settles_at, content, language)
        notices.append(phrase(language, "provisional", when=when))
    if content.missing_partitions:
        notices.append(phrase(language, "partial", count=content.missing_partitions))
    if content.warned_checks:
        names = _listed(content.warned_checks, language)
        notices.append(phrase(language, "warned", count=len(content.warned_checks), names=names))
    if not content.total_rows:
        notices.append(phrase(language, "empty"))
    return notices


def _correction(correction: Correction, content: Content, language: Language) -> str:
    when = _instant(correction.sent_at, content, language)
    differences = correction.differences
    if differences is None:
        return phrase(language, "correction_without_rows", when=when)
    counts = []
    for kind, count in (
        ("added", differences.added),
        ("removed", differences.removed),
        ("changed", differences.changed),
    ):
        if count:
            counts.append(phrase(language, kind, count=count))
    in_words = _listed(counts, language) or phrase(language, "no_difference")
    return phrase(language, "correction", when=when, differences=in_words)


def _figures(content: Content, language: Language) -> Sequence[str]:
    figures = []
    if content.total is not None:
        units = {column.name: column.unit for column in content.columns}
        total = phrase(
            language,
            "total",
            column=content.bar,
            number=f"{number_text(content.total)} {units[content.bar]}".rstrip(),
            compared=_compared(content.total, content.previous_total, content, language),
        )
        figures.append(total)
    compared = _compared(content.total_rows, content.previous_rows, content, language)
    figures.append(phrase(language, "rows", count=content.total_rows, compared=compared))
    if content.previous_rows is None:
        noun = phrase(language, content.period.cadence.noun)
        figures.append(phrase(language, "no_comparison", noun=noun))
    return figures


def _compared(number: Number, previous: Number | None, content: Content, language: Language) -> str:
    """Return in brackets the number of the period before, if any, and the change in per cent."""
    if previous is None:
        return ""
    noun = phrase(language, content.period.cadence.noun)
    compared = [f"{noun}: {number_text(previous)}"]
    if previous:
        change = (Decimal(number) - Decimal(previous)) / abs(Decimal(previous))
        compared.append(f"{change:+,.1%}")
    return in_brackets(_listed(compared, language), language)


def _differences(content: Content, language: Language) -> Sequence[str]:
    if content.correction is None or content.correction.differences is None:
        return []
    differences = content.correction.differences
    changed_columns = []
    for name, rows in differences.columns.items():
        changed_columns.append(phrase(language, "changed_column", column=name, count=rows))
    texts = []
    for kind, columns in (
        ("changed_columns", changed_columns),
        ("columns_added", differences.columns_added),
        ("columns_removed", differences.columns_removed),
    ):
        if columns:
            texts.append(phrase(language, kind, columns=_listed(columns, language)))
    paired_by = differences.paired_by
    return texts + [_example(change, paired_by, language) for change in differences.examples]


def _example(change: Change, paired_by: Sequence[str], language: Language) -> str:
    """Return one row that was added, removed or changed, in words."""
    key = []
    for name, value in zip(paired_by, change.key, strict=True):
        key.append(f"{name} {_short(value)}")
    values = []
    for name, (before, after) in change.columns.items():
        values.append(f"{name} {_short(before)} → {_short(after)}")
    parts = [_listed(texts, language) for texts in (key, values) if texts]
    example = phrase(language, f"example_{change.kind}", row=": ".join(parts))
    return shortened(example, _LONGEST_EXAMPLE)


def _movement(content: Content, language: Language) -> Sequence[str]:
    """Return who is new among the rows shown, and who of all rows rose and fell most."""
    movement = content.movement
    if movement is None:
        return []
    texts = []
    new_rows = [row for row in content.rows if content.value(row, movement.previous_rank) is None]
    new = [_row_name(row, content) for row in new_rows]
    if new:
        texts.append(phrase(language, "new", names=_first_names(new, language)))
    for kind, rows in (("rises", movement.rises), ("falls", movement.falls)):
        moves = []
        for row in rows:
            name = _row_name(row, content)
            before = number_text(content.value(row, movement.previous_rank))
            after = number_text(content.value(row, movement.rank))
            moves.append(phrase(language, "moved", name=name, before=before, after=after))
        if moves:
            texts.append(phrase(language, kind, names=_listed(moves, language)))
    return texts


def _row_name(row: tuple[Any, ...], content: Content) -> str:
    """Return what a sentence calls a row: the names of what its key identifies, or the key."""
    texts = []
    for name in row_key(content):
        label = content.value(row, label_of(name, content.column_names))
        texts.append(_short(content.value(row, name) if label is None else label))
    return " ".join(texts) or NULL


def _short(value: Any) -> str:
    return shortened(value_text(value), _LONGEST_VALUE)


def _first_names(names: Sequence[str], language: Language) -> str:
    listed = _listed(names[:_LISTED_NAMES], language)
    more = len(names) - _LISTED_NAMES
    if more <= 0:
        return listed
    return phrase(language, "and_more", names=listed, count=more)


def _left_out(content: Content, shown: Sequence[str], language: Language) -> Sequence[str]:
    texts = []
    rows = content.total_rows - len(content.rows)
    if rows > 0:
        texts.append(phrase(language, "left_out", count=rows))
    columns = [name for name in content.column_names if name not in shown]
    if content.rows and columns:
        names = _first_names(columns, language)
        texts.append(phrase(language, "columns_left_out", count=len(columns), names=names))
    if content.too_large and content.folder_uri:
        texts.append(phrase(language, "too_large", uri=content.folder_uri))
    elif content.too_large:
        texts.append(phrase(language, "too_large_without_address"))
    return texts


def _links(content: Content, language: Language) -> Sequence[Link]:
    links = []
    for name, url in (("page_link", content.page_url), ("query_link", content.query_url)):
        if url:
            links.append(Link(phrase(language, name), url))
    return links


def _instant(instant: datetime, content: Content, language: Language) -> str:
    return instant_in_words(instant, content.period.cadence.zone, language)


def _listed(texts: Sequence[str], language: Language) -> str:
    return phrase(language, "list_separator").join(texts)
