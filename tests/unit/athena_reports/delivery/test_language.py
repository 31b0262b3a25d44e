"""Periods, dates and numbers as text, read back by other means."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import daily, monthly, quarterly, weekly, yearly
from athena_reports.delivery.language import (
    instant_in_words,
    number_text,
    one_line,
    period_in_words,
    shortened,
    value_text,
)
from athena_reports.periods.calendar import Cadence
from tests.support.paths import ROOT
from tests.unit.athena_reports.delivery.contents import KINDS, LANGUAGES, TOKYO

SUNDAYS = weekly("sunday", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("cadence", "id", "english", "japanese"),
    [
        (daily("Asia/Tokyo"), "2026-11-14", "14 November 2026", "2026年11月14日"),
        (SUNDAYS, "2026-11-15", "week of 15 to 21 Nov 2026", "2026年11月15日～21日"),
        (SUNDAYS, "2026-09-27", "week of 27 Sept to 3 Oct 2026", "2026年9月27日～10月3日"),
        (
            SUNDAYS,
            "2026-12-27",
            "week of 27 Dec 2026 to 2 Jan 2027",
            "2026年12月27日～2027年1月2日",
        ),
        (monthly("Asia/Tokyo"), "2026-11", "November 2026", "2026年11月"),
        (quarterly("Asia/Tokyo"), "2026-Q4", "4th quarter 2026", "2026年第4四半期"),
        (yearly("Asia/Tokyo"), "2026", "2026", "2026年"),
    ],
)
def test_a_period_in_words(cadence: Cadence, id: str, english: str, japanese: str) -> None:
    period = cadence.period(id)
    assert period_in_words(period, "en") == english
    assert period_in_words(period, "ja") == japanese


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2198, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([daily("UTC"), SUNDAYS, monthly("UTC"), quarterly("UTC"), yearly("UTC")]),
)
def test_periods_have_different_names_and_english_ones_are_ascii(
    instant: datetime, cadence: Cadence
) -> None:
    period = cadence.containing(instant)
    for language in LANGUAGES:
        assert period_in_words(period, language) != period_in_words(period.next, language)
    assert period_in_words(period, "en").isascii()


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"VARCHAR"}))
def test_a_text_of_a_value_is_the_value(name: str) -> None:
    kind = KINDS[name]

    @given(kind.values, st.booleans())
    def holds(value: object, grouped: bool) -> None:
        assert kind.read(value_text(value, grouped=grouped)) == value

    holds()


def test_a_decimal_keeps_the_places_of_its_type() -> None:
    assert value_text(Decimal("1234.50"), grouped=True) == "1,234.50"
    assert value_text(Decimal("0.00")) == "0.00"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5.0, "5"),
        (0.1, "0.1"),
        (1234567.25, "1,234,567.25"),
        (1e300, "1e+300"),
        (1e-9, "1e-09"),
        (0.1 + 0.2, "0.3"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_float_has_the_digits_that_a_spreadsheet_keeps(number: float, text: str) -> None:
    assert number_text(number) == text


def test_an_instant_to_the_minute_in_a_zone() -> None:
    instant = datetime(2026, 11, 21, 15, 7, 59, tzinfo=UTC)
    assert instant_in_words(instant, TOKYO, "en") == "22 November 2026, 00:07 (Asia/Tokyo)"
    assert instant_in_words(instant, TOKYO, "ja") == "2026年11月22日 00:07（Asia/Tokyo）"


@given(st.text(), st.integers(1, 10))
def test_a_shortened_line_is_one_line_of_at_most_so_many_characters(
    text: str, longest: int
) -> None:
    line = shortened(one_line(text), longest)
    assert len(line) <= longest
    assert len(line.splitlines()) <= 1
    if len(text) <= longest and text.isprintable():
        assert line == text


def test_a_dag_file_that_names_channels_does_not_import_what_sends_them() -> None:
    modules = "language content sentences shown_table published_rows workbook errors"
    imports = [f"import athena_reports.delivery.{name}" for name in modules.split()]
    heavy = "'babel', 'duckdb', 'xlsxwriter', 'slack_sdk'"
    script = f"{'; '.join(imports)}; import sys; print({{{heavy}}} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT / "plugins", capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
