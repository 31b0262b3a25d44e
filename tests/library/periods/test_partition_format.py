import re
from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athena_reports.periods.partition_format import require_dates
from tests.library.periods.directives import OF_A_DATE, OF_A_TIME

DATES = [date(2001, 1, 1) + timedelta(days=number) for number in range(60 * 365)]
DIRECTIVES = st.lists(st.sampled_from(list(OF_A_DATE)), min_size=1, max_size=4)


def names_a_date(directives: list[str]) -> bool:
    """Whether each text stands for consecutive dates, a year at most."""
    dates: dict[tuple[object, ...], list[date]] = {}
    for day, *said in zip(
        DATES, *(map(OF_A_DATE[each], DATES) for each in directives), strict=True
    ):
        dates.setdefault(tuple(said), []).append(day)
    return all((days[-1] - days[0]).days + 1 == len(days) <= 366 for days in dates.values())


@given(DIRECTIVES)
@example(["%Y", "%m"])
@example(["%Y"])
@example(["%G", "%V"])
@example(["%G", "%m"])
@example(["%Y", "%V"])
@example(["%m", "%d"])
@example(["%Y", "%d"])
@example(["%j", "%a"])
@example(["%d", "%m", "%a"])
@example(["%C"])
@example(["%d"])
@example(["x"])
@settings(max_examples=60)
def test_a_format_is_accepted_if_its_texts_name_days_months_or_years(directives: list[str]) -> None:
    format = "/".join(directives)
    if names_a_date(directives):
        assert require_dates(format) == format
    else:
        with pytest.raises(ValueError, match=r"does not name the day, month or year") as caught:
            require_dates(format)
        first, second = (
            date.fromisoformat(text)
            for text in re.findall(r"\d{4}-\d\d-\d\d", str(caught.value))[:2]
        )
        assert first != second
        assert first.strftime(format) == second.strftime(format)


@given(DIRECTIVES, st.sampled_from(OF_A_TIME), st.integers(0, 4))
def test_a_format_finer_than_a_day_is_refused(
    directives: list[str], finer: str, place: int
) -> None:
    directives.insert(place, finer)
    with pytest.raises(
        ValueError, match=r"hourly partitions are not supported yet.*a table with daily partitions"
    ):
        require_dates("/".join(directives))


def problem_of(format: str) -> str:
    """The error's type and text; empty if there is none."""
    try:
        require_dates(format)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@given(st.text(st.characters() | st.sampled_from("%%%YmdH")))
@example("%Y-\ud800")  # Python 3.12 and older raise a UnicodeEncodeError for it
@example("%Y\0")
@example("%")
def test_any_other_text_is_a_format_or_a_mistake_that_is_explained(format: str) -> None:
    problem = problem_of(format)
    assert re.match(
        r"$|ValueError: (strftime does not take it|it does not name|it has a directive finer)",
        problem,
    )
