import re
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from athena_reports.inputs.partition_format import partition_unit, sorts_in_time
from tests.support.directives import FINER_THAN_AN_HOUR, OF_A_DATE, OF_AN_HOUR

DATES = [date(2001, 1, 1) + timedelta(days=number) for number in range(60 * 365)]
DIRECTIVES = st.lists(st.sampled_from(list(OF_A_DATE)), min_size=1, max_size=4)


def dates_by_text(directives: list[str]) -> dict[tuple[object, ...], list[date]]:
    dates: dict[tuple[object, ...], list[date]] = {}
    for day, *said in zip(
        DATES, *(map(OF_A_DATE[each], DATES) for each in directives), strict=True
    ):
        dates.setdefault(tuple(said), []).append(day)
    return dates


def names_a_date(directives: list[str]) -> bool:
    """Whether each text stands for consecutive dates, a year at most."""
    return all(
        (days[-1] - days[0]).days + 1 == len(days) <= 366
        for days in dates_by_text(directives).values()
    )


def names_one_day(directives: list[str]) -> bool:
    return all(len(days) == 1 for days in dates_by_text(directives).values())


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
        assert partition_unit((format,)) == "date"
        assert partition_unit(tuple(directives)) == "date"
    else:
        with pytest.raises(ValueError, match=r"does not name the day, month or year") as caught:
            partition_unit((format,))
        first, second = (
            date.fromisoformat(text)
            for text in re.findall(r"\d{4}-\d\d-\d\d", str(caught.value))[:2]
        )
        assert first != second
        assert first.strftime(format) == second.strftime(format)


@given(DIRECTIVES, st.sampled_from(FINER_THAN_AN_HOUR), st.integers(0, 4))
def test_a_format_finer_than_an_hour_is_refused(
    directives: list[str], finer: str, place: int
) -> None:
    directives.insert(place, finer)
    with pytest.raises(ValueError, match=r"it has a directive finer than an hour"):
        partition_unit(("/".join(directives),))


@given(DIRECTIVES, st.sampled_from(list(OF_AN_HOUR)), st.integers(0, 4))
@example(["%Y", "%m", "%d"], "%H", 3)
@example(["%Y", "%m", "%d"], "%I", 3)
@example(["%Y", "%m"], "%H", 2)
@example(["%Y", "%j"], "%-H", 0)
@settings(max_examples=60)
def test_an_hour_needs_its_day(directives: list[str], of_hour: str, place: int) -> None:
    with_hour = list(directives)
    with_hour.insert(place, of_hour)
    names_the_hour = len({OF_AN_HOUR[of_hour](hour) for hour in range(24)}) == 24
    if names_the_hour and names_one_day(directives):
        assert partition_unit(tuple(with_hour)) == "hour"
        assert partition_unit(("/".join(with_hour),)) == "hour"
    else:
        with pytest.raises(ValueError, match=r"does not name the hour") as caught:
            partition_unit(("/".join(with_hour),))
        first, second = (
            datetime.fromisoformat(text)
            for text in re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", str(caught.value))[:2]
        )
        assert first != second
        assert first.strftime("/".join(with_hour)) == second.strftime("/".join(with_hour))


@pytest.mark.parametrize("format", ["%Y%j%-H", "%Y-%m-%-d%-H", "%Y%-m%-d"])
def test_directives_without_zeros_that_touch_are_not_told_apart(format: str) -> None:
    if format == "%Y%j%-H":
        assert partition_unit((format,)) == "hour"
        return
    with pytest.raises(ValueError, match="does not name"):
        partition_unit((format,))


HOURS = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)).map(  # noqa: DTZ001
    lambda at: at.replace(minute=0, second=0, microsecond=0)
)


@given(st.lists(HOURS, min_size=2, max_size=20))
@example([datetime(1999, 12, 31, 23), datetime(2000, 1, 1)])  # noqa: DTZ001
def test_texts_that_sort_in_time_do_so_at_all_times(moments: list[datetime]) -> None:
    for format in ("%Y/%m/%d/%H", "%Y-%m-%dT%H", "%Y%j%H"):
        assert sorts_in_time(format, as_integers=False)
        assert sorted(moments) == sorted(moments, key=lambda at: at.strftime(format))
    assert sorts_in_time("%Y%m%d%H", as_integers=True)
    assert sorted(moments) == sorted(moments, key=lambda at: int(at.strftime("%Y%m%d%H")))


@pytest.mark.parametrize(
    "format", ["%d-%m-%Y-%H", "%y/%m/%d/%H", "%Y/%-m/%d/%H", "%Y/%m/%-d/%H", "%Y/%m/%d/%-H"]
)
def test_other_texts_do_not_sort_in_time(format: str) -> None:
    assert partition_unit((format,)) == "hour"
    assert not sorts_in_time(format, as_integers=False)
    dates = [date(1999, 12, 31), date(2000, 1, 2), date(2000, 1, 10), date(2000, 2, 1)]
    dates.append(date(2000, 10, 1))
    hours = [datetime.combine(day, time(hour)) for day in dates for hour in range(24)]
    assert hours != sorted(hours, key=lambda at: at.strftime(format))


def problem_of(format: str) -> str:
    """The error's type and text; empty if there is none."""
    try:
        partition_unit((format,))
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
