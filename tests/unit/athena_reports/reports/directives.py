"""Directives of `strftime`, and what each of them says of a date, told without it."""

from collections.abc import Callable
from datetime import date

OF_A_DATE: dict[str, Callable[[date], object]] = {
    "%Y": lambda day: day.year,
    "%y": lambda day: day.year % 100,
    "%C": lambda day: day.year // 100,
    "%G": lambda day: day.isocalendar().year,
    **dict.fromkeys(["%m", "%b", "%B", "%-m"], lambda day: day.month),
    **dict.fromkeys(["%d", "%e", "%-d"], lambda day: day.day),
    "%j": lambda day: day.timetuple().tm_yday,
    "%V": lambda day: day.isocalendar().week,
    "%U": lambda day: (day.timetuple().tm_yday + 6 - day.isoweekday() % 7) // 7,
    "%W": lambda day: (day.timetuple().tm_yday + 6 - day.weekday()) // 7,
    **dict.fromkeys(["%a", "%A", "%u", "%w"], lambda day: day.weekday()),
    **dict.fromkeys(["%F", "%D", "%x"], lambda day: day),
    **dict.fromkeys(["x", "%%", "dt=", "東"], lambda _: None),
}
OF_AN_HOUR: dict[str, Callable[[int], object]] = {
    **dict.fromkeys(["%H", "%-H", "%k"], lambda hour: hour),
    **dict.fromkeys(["%I", "%l"], lambda hour: hour % 12),
    "%p": lambda hour: hour < 12,
}
FINER_THAN_AN_HOUR = ["%M", "%S", "%f", "%s", "%z", "%Z", "%c", "%X", "%T", "%R", "%r"]
