"""Periods, instants and values as text.

Babel knows how a language writes dates. Values are written as Python writes them, in both
languages.

Babel is imported inside of functions: DAG files import this module, and Airflow parses them often.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from athena_reports.periods.calendar import Period

Language = Literal["en", "ja"]
Number = int | float | Decimal

NULL = "\N{EN DASH}"
"""What is shown for NULL."""

_LOCALES: dict[Language, str] = {"en": "en_GB", "ja": "ja"}
_SKELETONS = {"monthly": "yMMMM", "quarterly": "yQQQQ", "yearly": "y"}
_RANGE = re.compile(r"\s*–\s*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def period_in_words(period: Period, language: Language) -> str:
    """Return a period as people call it, such as "week of 15 to 21 Nov 2026".

    English is in ASCII: a subject of SNS takes nothing else.
    """
    from babel.dates import format_date, format_interval, format_skeleton

    locale = _LOCALES[language]
    unit = period.cadence.unit
    if unit == "daily":
        return format_date(period.first_date, "long", locale=locale)
    if unit != "weekly":
        return format_skeleton(_SKELETONS[unit], period.first_date, locale=locale)
    week = format_interval(period.first_date, period.last_date, "yMMMMd", locale=locale)
    if language == "ja":
        return week
    return f"week of {_RANGE.sub(' to ', week)}"


def in_brackets(text: str, language: Language) -> str:
    """Return a text in the brackets of a language, as it follows a word."""
    return f"（{text}）" if language == "ja" else f" ({text})"


def one_line(text: str) -> str:
    """Replace control characters and line breaks by spaces."""
    return _CONTROL.sub(" ", text)


def shortened(text: str, longest: int) -> str:
    """Return a text of at most `longest` characters. If it is cut, it ends in an ellipsis."""
    if len(text) <= longest:
        return text
    return text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def instant_in_words(instant: datetime, zone: ZoneInfo, language: Language) -> str:
    """Return an instant to the minute, such as "22 November 2026, 00:07 (Asia/Tokyo)"."""
    from babel.dates import format_date

    local = instant.astimezone(zone)
    day = format_date(local.date(), "long", locale=_LOCALES[language])
    separator = " " if language == "ja" else ", "
    return f"{day}{separator}{local:%H:%M}{in_brackets(zone.key, language)}"


def value_text(value: Any, *, grouped: bool = False) -> str:
    """Return a value of `published_rows` as one line of text.

    `grouped` adds separators between the thousands of a number. Dates and times are in ISO 8601,
    as in the workbook.
    """
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        return number_text(value, grouped=grouped)
    return one_line(str(value))


def number_text(value: Number, *, grouped: bool = True) -> str:
    """Return a number such as "1,234.50".

    Integers and decimals have all their digits. A float has 15, as in a spreadsheet.
    """
    separator = "," if grouped else ""
    if isinstance(value, float):
        return f"{value:{separator}.15g}"
    return f"{Decimal(value):{separator}f}"
