"""Every cadence that there is, in some zones."""

from typing import get_args

from hypothesis import strategies as st

from athena_reports.periods.calendar import Cadence, Unit, Weekday

ZONES = ["UTC", "Asia/Tokyo", "Pacific/Apia", "America/Sao_Paulo", "Asia/Beirut", "Etc/UTC"]


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    unit: Unit = draw(st.sampled_from(get_args(Unit)))
    first_day: Weekday | None = None
    if unit == "weekly":
        first_day = draw(st.sampled_from(get_args(Weekday)))
    return Cadence(unit, draw(st.sampled_from(ZONES)), first_day)
