"""Periods, dates and numbers in the words of a language.

Babel knows how a language writes dates. English dates are in the order day, month, year. Both
languages write numbers as Python does.

Babel is imported inside of functions: DAG files import this module, and Airflow parses them often.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from athena_reports.periods.calendar import Period

Language = Literal["en", "ja"]
Number = int | float | Decimal

NULL = "\N{EN DASH}"
"""What is shown for NULL."""

_LOCALES: dict[Language, str] = {"en": "en_GB", "ja": "ja"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def period_in_words(period: Period, language: Language, *, with_zone: bool = False) -> str:
    """Return a period as people call it, such as "week of 15 to 21 November 2026".

    English is in ASCII: a subject of SNS takes nothing else.

    Args:
        period: The period.
        language: The language.
        with_zone: Whether its time zone follows, as in "November 2026 (Asia/Tokyo)".
    """
    words = _period(period, language)
    if with_zone:
        words += in_brackets(period.cadence.timezone, language)
    return words


def in_brackets(text: str, language: Language) -> str:
    """Return a text in the brackets of a language, as it follows a word."""
    return f"（{text}）" if language == "ja" else f" ({text})"


def one_line(text: str) -> str:
    """Return a text without control characters and line breaks: each is a space."""
    return _CONTROL.sub(" ", text)


def shortened(text: str, longest: int) -> str:
    """Return a text that ends in an ellipsis if it has more characters than that."""
    if len(text) <= longest:
        return text
    return text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _period(period: Period, language: Language) -> str:
    from babel.dates import format_date, format_skeleton

    locale = _LOCALES[language]
    first_date = period.first_date
    unit = period.cadence.unit
    if unit == "daily":
        return format_date(first_date, "long", locale=locale)
    if unit == "weekly":
        return _week(first_date, period.last_date, language)
    if unit == "quarterly":
        skeleton = "yQQQQ" if language == "ja" else "yQQQ"
    else:
        skeleton = "yMMMM" if unit == "monthly" else "y"
    return format_skeleton(skeleton, first_date, locale=locale)


def _week(first: date, last: date, language: Language) -> str:
    from babel.dates import format_date, format_interval

    locale = _LOCALES[language]
    if language == "ja":
        return format_interval(first, last, "yMMMMd", locale=locale)
    if first.year != last.year:
        pattern = "d MMMM y"
    elif first.month != last.month:
        pattern = "d MMMM"
    else:
        pattern = "d"
    first_in_words = format_date(first, pattern, locale=locale)
    last_in_words = format_date(last, "d MMMM y", locale=locale)
    return f"week of {first_in_words} to {last_in_words}"


def instant_in_words(instant: datetime, zone: ZoneInfo, language: Language) -> str:
    """Return an instant to the minute, such as "22 November 2026, 00:07 (Asia/Tokyo)"."""
    from babel.dates import format_date

    local = instant.astimezone(zone)
    day = format_date(local.date(), "long", locale=_LOCALES[language])
    separator = " " if language == "ja" else ", "
    return f"{day}{separator}{local:%H:%M}{in_brackets(zone.key, language)}"


def value_in_words(value: Any, language: Language, *, grouped: bool = False) -> str:
    """Return a value of a row as text; an empty text for NULL.

    Args:
        value: The value, as `published_rows` reads it.
        language: The language.
        grouped: Whether a number has separators between thousands.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return number_in_words(value, grouped=grouped)
    if isinstance(value, datetime):
        return _datetime(value, language)
    if isinstance(value, date):
        return _date(value, language)
    if isinstance(value, time):
        return _time(value)
    return str(value)


def number_in_words(value: Number, *, grouped: bool = True) -> str:
    """Return a number such as "1,234.50".

    Integers and decimals have all their digits. A float has 15, as in a spreadsheet.
    """
    separator = "," if grouped else ""
    if isinstance(value, float):
        return f"{value:{separator}.15g}"
    return f"{Decimal(value):{separator}f}"


def _date(day: date, language: Language) -> str:
    from babel.dates import format_date

    return format_date(day, "medium", locale=_LOCALES[language])


def _datetime(moment: datetime, language: Language) -> str:
    """Return a time of a day. One of a zone has its offset: a zone has some times twice."""
    separator = " " if language == "ja" else ", "
    text = f"{_date(moment.date(), language)}{separator}{_time(moment.time())}"
    if moment.tzinfo is None:
        return text
    clock = moment.replace(tzinfo=None).isoformat()
    offset = moment.isoformat().removeprefix(clock)
    return f"{text} {offset}"


def _time(value: time) -> str:
    """Return a time with the fractions of a second that it has, at least milliseconds."""
    return value.replace(tzinfo=None).isoformat().removesuffix("000")
