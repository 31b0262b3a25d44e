"""Functions of dates, timestamps and time zones."""

from __future__ import annotations

import re
from collections.abc import Callable

from local_athena.athena.casts import cast, parsed
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.operators import in_zone, zone_name
from local_athena.athena.functions.row import Function, literal, on_page
from local_athena.athena.signatures import WrongArgumentsError
from local_athena.athena.types import (
    BIGINT,
    DATE,
    DAY_INTERVAL,
    TIMESTAMP,
    TIMESTAMP_TZ,
    TIMESTAMP_UTC,
    VARCHAR,
    Expr,
    Type,
    array,
    at_instant,
    build,
    instant,
    joined,
    local,
    same_in_utc,
    text,
    unify,
    zoned,
)

_INVALID_FORMAT = 'INVALID_FUNCTION_ARGUMENT: Invalid format: "%s"'
_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_DATE_UNITS = _UNITS[4:]


def _unit(unit: Expr, moment: Expr) -> str:
    name = literal(unit, "a unit of time").lower()
    if name not in (_DATE_UNITS if moment.type.base == "date" else _UNITS):
        message = f"'{name}' is not a valid {moment.type.base} field"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return name


def _field(part: str, name: str, example: str, answer: str, *aliases: str) -> Function:
    """A part of a date or of a moment as it reads in its zone."""

    def translate(moment: Expr) -> Expr:
        return build(f"CAST(date_part('{part}', {{0}}) AS BIGINT)", BIGINT, local(moment))

    return Function(f"{name}(M) -> bigint", translate, example, answer, aliases=aliases)


def _field_of_a_day(name: str, example: str, answer: str) -> Function:
    """A part of a moment as it reads in its zone, which a date does not have."""

    def translate(moment: Expr) -> Expr:
        part = f"CAST(date_part('{name}', {{0}}) AS BIGINT)"
        if name == "millisecond":
            part += " % 1000"
        return build(f"({part})", BIGINT, local(moment))

    return Function(f"{name}(W) -> bigint", translate, example, answer)


def _part_of_an_interval(name: str, size: int, bound: int | None, answer: str) -> Function:
    part = f"trino_interval_ms({{0}}) // {size}"
    return Function(
        f"{name}(interval day to second) -> bigint",
        f"CAST({part} AS BIGINT)" if bound is None else f"CAST({part} % {bound} AS BIGINT)",
        f"{name}(TIMESTAMP '2024-01-03 03:04:05.678' - TIMESTAMP '2024-01-01 00:00:00')",
        answer,
    )


def _date_trunc(unit: Expr, moment: Expr) -> Expr:
    name = _unit(unit, moment)
    if moment.type.base != "timestamp with time zone":
        truncated = f"CAST(date_trunc('{name}', {{0}}) AS {moment.type.duckdb})"
        return build(truncated, moment.type, moment)
    wall = local(moment)
    if name in _DATE_UNITS:
        begin = build(f"date_trunc('{name}', {{0}})", TIMESTAMP, wall)
        return zoned(begin, moment, near=instant(moment))
    # Below a day the offset stays:
    # going through the wall clock would lose which of two equal hours it was.
    since = f"({{0}} - ({{1}} - date_trunc('{name}', {{1}})))"
    return at_instant(build(since, TIMESTAMP_UTC, instant(moment), wall), moment)


def _date_add(unit: Expr, amount: Expr, moment: Expr) -> Expr:
    name = _unit(unit, moment)
    moved = f"({{0}} + CAST({{1}} AS INTEGER) * INTERVAL 1 {name.upper()})"
    if moment.type.base == "date":
        return build(f"CAST({moved} AS DATE)", DATE, moment, amount)
    if moment.type.base == "timestamp":
        return build(moved, moment.type, moment, amount)
    if name not in _DATE_UNITS:
        return at_instant(build(moved, TIMESTAMP_UTC, instant(moment), amount), moment)
    wall = build(moved, TIMESTAMP, local(moment), amount)
    return zoned(wall, moment, near=instant(moment))


def _date_diff(unit: Expr, start: Expr, end: Expr) -> Expr:
    """Days and longer units are counted on the wall clock of the first moment's zone."""
    zone = start.type.zone or "UTC"
    is_open = start.type == TIMESTAMP_TZ
    start, end = unify(start, end)
    name = _unit(unit, start)
    if is_open and name in _DATE_UNITS:
        end = build("trino_wall(({0}).t, ({1}).z)", TIMESTAMP, end, start)
        return build(f"date_sub('{name}', {{0}}, {{1}})", BIGINT, local(start), end)
    if start.type.base == "timestamp with time zone" and name in _DATE_UNITS:
        type_ = Type("timestamp with time zone", zone=zone)
        start, end = (local(instant(each).as_type(type_)) for each in (start, end))
    return build(f"date_sub('{name}', {{0}}, {{1}})", BIGINT, instant(start), instant(end))


def _from_unixtime(seconds: Expr, zone: Expr | None = None) -> Expr:
    micros = "CAST(floor({0} * 1000 + 0.5) AS BIGINT) * 1000"
    moment = build(f"timezone('UTC', make_timestamp({micros}))", TIMESTAMP_UTC, seconds)
    return moment if zone is None else in_zone(moment, zone)


def _from_unixtime_with_offset(seconds: Expr, hours: Expr, minutes: Expr) -> Expr:
    if hours.constant is None or minutes.constant is None:
        raise not_supported("from_unixtime with hours and minutes that are not literals")
    offset = int(hours.constant) * 60 + int(minutes.constant)
    sign = "-" if offset < 0 else "+"
    zone = text(f"{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}")
    return _from_unixtime(seconds, zone)


def _to_unixtime(moment: Expr) -> Expr:
    return build("(CAST(epoch_ms({0}) AS DOUBLE) / 1000)", Type("double"), instant(moment))


_MYSQL_TO_STRFTIME = {
    "Y": "%Y", "y": "%y", "m": "%m", "c": "%-m", "d": "%d", "e": "%-d", "H": "%H", "k": "%-H",
    "h": "%I", "I": "%I", "l": "%-I", "i": "%M", "s": "%S", "S": "%S", "f": "%f", "p": "%p",
    "M": "%B", "b": "%b", "W": "%A", "a": "%a", "j": "%j",
    "T": "%H:%M:%S", "r": "%I:%M:%S %p", "v": "%V", "x": "%G", "%": "%%",
}  # fmt: skip
_MYSQL_PARSED = "YymcdeHkhIlisSTrpMbfxv"


def _mysql_format(pattern: Expr, allowed: str | None = None) -> str:
    """A MySQL date format, as Trino's date_format and date_parse take it, as one of strftime."""

    def specifier(match: re.Match[str]) -> str:
        letter = match[1]
        if letter not in _MYSQL_TO_STRFTIME or (allowed is not None and letter not in allowed):
            raise not_supported(f"%{letter} in this date format")
        return _MYSQL_TO_STRFTIME[letter]

    form = literal(pattern, "a date format")
    return re.sub(r"%(.)", specifier, form, flags=re.DOTALL)


def _date_format(moment: Expr, pattern: Expr) -> Expr:
    return build("strftime({0}, {1})", VARCHAR, local(moment), text(_mysql_format(pattern)))


def _date_parse(value: Expr, pattern: Expr) -> Expr:
    return _parsed_time(value, _mysql_format(pattern, _MYSQL_PARSED))


def _parsed_time(value: Expr, form: str, digits: int = 9) -> Expr:
    """A timestamp read by a format of strptime, a fraction of a second having so many digits.

    What the format leaves out is as in Joda-Time: 1970-01-01, but the year 2000 for a month or a
    day without a year.
    """
    if "%G" in form and "%u" not in form:
        form, value = f"{form} %u", build("({0} || ' 1')", VARCHAR, value)
    letters = set(re.findall(r"%-?([A-Za-z])", form))
    before_value = before_form = ""
    read = "try_strptime({5} || {0}, {4})"
    if not letters & {"Y", "y", "G"}:
        has_day = letters & {"m", "d", "B", "b"}
        before_value, before_form = ("2000 ", "%Y ") if has_day else ("1970 ", "%Y ")
    if "f" in letters:
        if form.count("%f") > 1 or "%S.%f" not in form:
            raise not_supported("fractions of a second in this date format")
        # strptime reads six digits; a timestamp keeps three.
        read = f"date_trunc('millisecond', {read})"
        value = build(r"regexp_replace({0}, '([.][0-9]{6,6})[0-9]+', '\1')", VARCHAR, value)
    if "y" in letters:
        # Two digits are a year from 1970 to 2069.
        read = "trino_two_digit_year(try_strptime({5} || {0}, {4}))"
    # strptime takes several blanks for one, and blanks at the ends.
    pattern = r"(?s)\S(.*\S)?"
    if "f" in letters:
        pattern = rf"(?s)\S.*[.][0-9]{{1,{digits}}}([^0-9](.*\S)?)?"
    return parsed(
        value,
        pattern,
        read,
        TIMESTAMP,
        _INVALID_FORMAT,
        _with_both_names(before_form + form),
        text(before_value),
    )


def _with_both_names(form: str) -> Expr:
    """The formats of strptime for one of Joda-Time, which reads `Mar` and `March` alike."""
    forms = [re.sub("(?<!%)%[bB]", name, form) for name in ("%b", "%B")]
    if forms[0] == forms[1]:
        return text(form)
    return build("[{0}, {1}]", array(VARCHAR), *map(text, forms))


_JODA = {
    "yyyy": "%Y", "y": "%Y", "YYYY": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMMM": "%B",
    "MMM": "%b", "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I",
    "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g", "a": "%p", "EEEE": "%A", "E": "%a",
    "EE": "%a", "EEE": "%a", "DDD": "%j", "D": "%-j", "xxxx": "%G", "ww": "%V", "e": "%u",
}  # fmt: skip
_JODA_PARSED = (
    "yyyy",
    "MM",
    "M",
    "MMMM",
    "MMM",
    "dd",
    "d",
    "HH",
    "H",
    "hh",
    "h",
    "mm",
    "m",
    "ss",
    "s",
    "a",
)
# A quote that is not closed ends with the format, as the pages of AWS have it.
_JODA_TOKEN = re.compile(r"([A-Za-z])\1*|'((?:[^']|'')*)(?:'|$)|[^A-Za-z']+")
_JODA_ZONES = ("%offset without colon", "%offset", "%name")
"""What stands for Z, ZZ and ZZZ; no text of a format has a single %."""
_STRPTIME_DIGITS = 6
_JODA_FRACTION = re.compile("S{1,9}")


def _joda_format(pattern: Expr, allowed: tuple[str, ...]) -> list[str]:
    """A date format of Joda-Time as pieces of strftime's; a time zone is one of _JODA_ZONES."""
    form = literal(pattern, "a date format")
    pieces = []
    end = 0
    for token in _JODA_TOKEN.finditer(form):
        if token.start() != end:
            break
        end = token.end()
        if token[1] is None:
            quoted = token[2]
            plain = token[0] if quoted is None else quoted.replace("''", "'") or "'"
            pieces.append(plain.replace("%", "%%"))
        elif token[0] in ("Z", "ZZ", "ZZZ"):
            pieces.append(_JODA_ZONES[len(token[0]) - 1])
        elif token[0] in allowed:
            pieces.append(_JODA[token[0]])
        elif allowed is _JODA_PARSED and _JODA_FRACTION.fullmatch(token[0]):
            pieces.append("%f")
        else:
            raise not_supported(f"{token[0]} in this date format")
    if end != len(form):
        raise not_supported(f"the date format {form!r}")
    return pieces


def _format_datetime(moment: Expr, pattern: Expr) -> Expr:
    pieces: list[str | Expr] = ["concat(''"]
    for piece in _joda_format(pattern, tuple(_JODA)):
        if piece in _JODA_ZONES:
            pieces += [", ", _zone_text(moment, piece)]
        else:
            pieces += [", ", build("strftime({0}, {1})", VARCHAR, local(moment), text(piece))]
    whole = joined(*pieces, ")", type_=VARCHAR)
    return build("CASE WHEN {0} IS NOT NULL THEN {1} END", VARCHAR, moment, whole)


def _zone_text(moment: Expr, kind: str) -> Expr:
    if moment.type.base != "timestamp with time zone":
        return text(dict(zip(_JODA_ZONES, ("+0000", "+00:00", "UTC"), strict=True))[kind])
    if kind == "%name":
        if moment.type.zone is None:
            return build("({0}).z", VARCHAR, moment)
        return text(moment.type.zone)
    offset = build("trino_offset_text({0}, {1})", VARCHAR, local(moment), instant(moment))
    return offset if kind == "%offset" else build("replace({0}, ':', '')", VARCHAR, offset)


def _parse_datetime(value: Expr, pattern: Expr) -> Expr:
    pieces = _joda_format(pattern, _JODA_PARSED)
    zones = [piece for piece in pieces if piece in _JODA_ZONES]
    has_offset = zones == pieces[-1:] and zones != ["%name"]
    fraction = _JODA_FRACTION.search(pattern.constant or "")
    digits = len(fraction[0]) if fraction is not None else 0
    if has_offset and "%Y" in pieces and digits <= _STRPTIME_DIGITS:
        form = _with_both_names("".join([*pieces[:-1], "%z"]))
        read = r"trino_zoned(trino_whole_ms(try_strptime({0}, {4})), trino_offset_of({0}))"
        before = rf"[.][0-9]{{1,{digits}}}" if digits else ""
        shape = rf"(?s)\S.*{before}[+-][0-9]{{2}}:?[0-9]{{2}}"
        return parsed(value, shape, read, TIMESTAMP_TZ, _INVALID_FORMAT, form)
    if zones:
        raise not_supported("this place of a time zone in the format of parse_datetime")
    wall = _parsed_time(value, "".join(pieces), digits)
    return build("timezone('UTC', {0})", TIMESTAMP_UTC, wall)


def _to_iso8601(moment: Expr) -> Expr:
    if moment.type.base == "date":
        return build("strftime({0}, '%Y-%m-%d')", VARCHAR, moment)
    wall = build("strftime({0}, '%Y-%m-%dT%H:%M:%S.%g')", VARCHAR, local(moment))
    if moment.type.base == "timestamp":
        return wall
    if moment.type.zone == "UTC":
        return build("({0} || 'Z')", VARCHAR, wall)
    offset = build("trino_offset_text({0}, {1})", VARCHAR, local(moment), instant(moment))
    return build("({0} || CASE WHEN {1} = '+00:00' THEN 'Z' ELSE {1} END)", VARCHAR, wall, offset)


def _from_iso8601_date(value: Expr) -> Expr:
    pattern = "[0-9]{4}(-[0-9]{2}(-[0-9]{2})?|-[0-9]{3}|-W[0-9]{2}(-[1-7])?)?"
    return parsed(value, pattern, "trino_iso_date({0})", DATE, _INVALID_FORMAT)


def _from_iso8601_timestamp(value: Expr) -> Expr:
    """The offset of the text stays, and UTC where it has none."""
    pattern = (
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}(:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?)?"
        r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
    )
    if value.constant is not None:
        offset = re.search(r"T.*([+-]\d\d):?(\d\d)?$", value.constant)
        zone = zone_name(text(f"{offset[1]}:{offset[2] or '00'}")) if offset is not None else "UTC"
        type_ = Type("timestamp with time zone", zone=zone)
        return parsed(value, pattern, "trino_iso_instant({0})", type_, _INVALID_FORMAT)
    moment = "trino_zoned(trino_iso_instant({0}), trino_iso_zone({0}))"
    return parsed(value, pattern, moment, TIMESTAMP_TZ, _INVALID_FORMAT)


def _with_timezone(wall: Expr, zone: Expr) -> Expr:
    """A local time that comes twice has the offset of the zone when UTC's clocks show it."""
    if zone.constant is None:
        raise not_supported("with_timezone with a zone that is not a literal")
    like = Expr((), Type("timestamp with time zone", zone=zone_name(zone)))
    return zoned(wall, like, near=same_in_utc(wall))


def _timezone_part(part: str) -> Callable[[Expr], Expr]:
    def translate(moment: Expr) -> Expr:
        if moment.type.base != "timestamp with time zone":
            raise WrongArgumentsError
        seconds = "CAST(epoch({0}) - epoch(timezone('UTC', {1})) AS BIGINT)"
        minutes = f"({seconds} // 60)"
        template = f"({minutes} // 60)" if part == "hour" else f"({minutes} % 60)"
        return build(template, BIGINT, local(moment), instant(moment))

    return translate


FUNCTIONS = on_page(
    "functions/datetime",
    Function(
        "date(M) -> date",
        lambda moment: cast(moment, DATE),
        "date(TIMESTAMP '2024-01-01 23:00:00')",
        "2024-01-01",
    ),
    Function(
        "date(varchar) -> date", lambda value: cast(value, DATE), "date('2024-01-01')", "2024-01-01"
    ),
    Function(
        "date_add(varchar, bigint, M) -> M",
        _date_add,
        "date_add('month', 1, DATE '2024-01-31')",
        "2024-02-29",
    ),
    Function(
        "date_diff(varchar, L, L) -> bigint",
        _date_diff,
        "date_diff('day', DATE '2020-03-01', DATE '2020-03-02')",
        "1",
    ),
    Function(
        "date_format(M, varchar) -> varchar",
        _date_format,
        "date_format(TIMESTAMP '2024-03-04 05:06:07', '%Y/%c/%e %H:%i')",
        "2024/3/4 05:06",
    ),
    Function(
        "date_parse(varchar, varchar) -> timestamp",
        _date_parse,
        "date_parse('2022/10/20/05', '%Y/%m/%d/%H')",
        "2022-10-20 05:00:00.000",
    ),
    Function(
        "date_trunc(varchar, M) -> M",
        _date_trunc,
        "date_trunc('week', DATE '2001-08-22')",
        "2001-08-20",
    ),
    _field("day", "day", "day(DATE '2024-03-04')", "4", "day_of_month"),
    _part_of_an_interval("day", 86_400_000, None, "2"),
    _part_of_an_interval("hour", 3_600_000, 24, "3"),
    _part_of_an_interval("minute", 60_000, 60, "4"),
    _part_of_an_interval("second", 1000, 60, "5"),
    _part_of_an_interval("millisecond", 1, 1000, "678"),
    _field("isodow", "day_of_week", "day_of_week(DATE '2024-03-03')", "7", "dow"),
    _field("doy", "day_of_year", "day_of_year(DATE '2024-03-01')", "61", "doy"),
    Function(
        "format_datetime(M, varchar) -> varchar",
        _format_datetime,
        "format_datetime(TIMESTAMP '2024-03-04 05:06:07', 'yyyy-MM-dd HH:mm:ss')",
        "2024-03-04 05:06:07",
    ),
    Function(
        "from_iso8601_date(varchar) -> date",
        _from_iso8601_date,
        "from_iso8601_date('2020-05-11')",
        "2020-05-11",
    ),
    Function(
        "from_iso8601_timestamp(varchar) -> timestamp with time zone",
        _from_iso8601_timestamp,
        "from_iso8601_timestamp('2020-05-11T11:15:05+09:00')",
        "2020-05-11 11:15:05.000 +09:00",
    ),
    Function(
        "from_unixtime(double) -> timestamp with time zone",
        _from_unixtime,
        "from_unixtime(1.5)",
        "1970-01-01 00:00:01.500 UTC",
    ),
    Function(
        "from_unixtime(double, varchar) -> timestamp with time zone",
        _from_unixtime,
        "from_unixtime(0, 'Asia/Tokyo')",
        "1970-01-01 09:00:00.000 Asia/Tokyo",
    ),
    _field_of_a_day("hour", "hour(TIMESTAMP '2024-01-01 03:04:05')", "3"),
    Function(
        "last_day_of_month(M) -> date",
        lambda moment: build("last_day({0})", DATE, local(moment)),
        "last_day_of_month(DATE '2024-02-10')",
        "2024-02-29",
    ),
    _field_of_a_day("millisecond", "millisecond(TIMESTAMP '2024-01-01 03:04:05.678')", "678"),
    _field_of_a_day("minute", "minute(TIMESTAMP '2024-01-01 03:04:05')", "4"),
    _field("month", "month", "month(DATE '2024-03-04')", "3"),
    Function(
        "parse_datetime(varchar, varchar) -> timestamp with time zone",
        _parse_datetime,
        "parse_datetime('2024-03-04 05:06', 'yyyy-MM-dd HH:mm')",
        "2024-03-04 05:06:00.000 UTC",
    ),
    _field("quarter", "quarter", "quarter(DATE '2024-03-04')", "1"),
    _field_of_a_day("second", "second(TIMESTAMP '2024-01-01 03:04:05')", "5"),
    Function(
        "timezone_hour(W) -> bigint",
        _timezone_part("hour"),
        "timezone_hour(TIMESTAMP '2024-01-01 00:00:00 Asia/Tokyo')",
        "9",
    ),
    Function(
        "timezone_minute(W) -> bigint",
        _timezone_part("minute"),
        "timezone_minute(TIMESTAMP '2024-01-01 00:00:00 Asia/Kolkata')",
        "30",
    ),
    Function(
        "to_iso8601(M) -> varchar",
        _to_iso8601,
        "to_iso8601(TIMESTAMP '2024-01-01 00:00:00 Asia/Tokyo')",
        "2024-01-01T00:00:00.000+09:00",
    ),
    Function(
        "to_unixtime(W) -> double",
        _to_unixtime,
        "to_unixtime(TIMESTAMP '1970-01-01 00:00:01.250')",
        "1.25",
    ),
    Function(
        "to_unixtime(timestamp) -> double",
        _to_unixtime,
        "to_unixtime(DATE '1970-01-02')",
        "86400.0",
    ),
    _field("week", "week", "week(DATE '2024-12-30')", "1", "week_of_year"),
    Function(
        "with_timezone(timestamp, varchar) -> timestamp with time zone",
        _with_timezone,
        "with_timezone(TIMESTAMP '2024-01-01 00:00:00', 'Asia/Tokyo')",
        "2024-01-01 00:00:00.000 Asia/Tokyo",
    ),
    _field("year", "year", "year(DATE '2024-03-04')", "2024"),
    _field("isoyear", "year_of_week", "year_of_week(DATE '2024-12-30')", "2025", "yow"),
    Function(
        "at_timezone(timestamp with time zone, varchar) -> timestamp with time zone",
        lambda moment, zone: in_zone(instant(moment), zone),
        "at_timezone(TIMESTAMP '2022-11-01 09:08:07 UTC', 'America/Los_Angeles')",
        "2022-11-01 02:08:07.000 America/Los_Angeles",
    ),
    Function("current_timezone() -> varchar", lambda: text("UTC"), "current_timezone()", "UTC"),
    Function(
        "from_unixtime(double, bigint, bigint) -> timestamp with time zone",
        _from_unixtime_with_offset,
        "from_unixtime(0, 9, 30)",
        "1970-01-01 09:30:00.000 +09:30",
    ),
    Function(
        "to_milliseconds(interval day to second) -> bigint",
        "trino_interval_ms({0})",
        "to_milliseconds(INTERVAL '1' HOUR)",
        "3600000",
    ),
    Function(
        "parse_duration(varchar) -> interval day to second",
        lambda value: parsed(
            value,
            r"[0-9]+([.][0-9]+)?\s*(us|ms|s|m|h|d)",
            "trino_duration({0})",
            DAY_INTERVAL,
            "INVALID_FUNCTION_ARGUMENT: duration is not a valid data duration string: %s",
        ),
        "parse_duration('3.81 d')",
        "3 19:26:24.000",
    ),
)

MACROS = (
    "trino_whole_ms(t) AS date_trunc('millisecond', t)",
    """trino_two_digit_year(t) AS CASE
        WHEN year(t) < 1970 THEN t + INTERVAL 100 YEAR
        WHEN year(t) > 2069 THEN t - INTERVAL 100 YEAR
        ELSE t
    END""",
    """trino_offset_text(wall, t) AS
        CASE WHEN wall < timezone('UTC', t) THEN '-' ELSE '+' END
        || strftime(TIMESTAMP '2000-01-01' + to_microseconds(
            abs(epoch_us(wall) - epoch_us(timezone('UTC', t)))), '%H:%M')""",
    """trino_offset_of(s) AS regexp_replace(
        regexp_extract(s, '[+-][0-9]{2}:?[0-9]{2}$'), '([0-9]{2}):?([0-9]{2})$', '\\1:\\2')""",
    """trino_duration(s) AS to_microseconds(CAST(round(
        CAST(regexp_extract(s, '^[0-9.]+') AS DOUBLE) * CASE trim(regexp_extract(s, '[a-z]+$'))
            WHEN 'us' THEN 1 WHEN 'ms' THEN 1000 WHEN 's' THEN 1000000 WHEN 'm' THEN 60000000
            WHEN 'h' THEN 3600000000 WHEN 'd' THEN 86400000000 END) AS BIGINT))""",
    """trino_iso_date(s) AS CASE
        WHEN regexp_full_match(s, '.{4}-W..') THEN CAST(try_strptime(s || '-1', '%G-W%V-%u') AS
            DATE)
        WHEN contains(s, 'W') THEN CAST(try_strptime(s, '%G-W%V-%u') AS DATE)
        WHEN length(s) = 8 THEN CAST(try_strptime(s, '%Y-%j') AS DATE)
        ELSE TRY_CAST(s || substring('-01-01', length(s) - 3) AS DATE)
    END""",
    """trino_iso_moment(s) AS TRY_CAST(CASE
        WHEN NOT regexp_matches(s, 'T') THEN s || 'T00:00:00Z'
        WHEN NOT regexp_matches(s, 'T[0-9]{2}:')
            THEN regexp_replace(s, '(T[0-9]{2})', '\\1:00:00')
        WHEN NOT regexp_matches(s, 'T[0-9]{2}:[0-9]{2}:[0-9]{2}')
            THEN regexp_replace(s, '(T[0-9]{2}:[0-9]{2})', '\\1:00')
        ELSE regexp_replace(replace(s, ',', '.'), '([.][0-9]{3})[0-9]+', '\\1')
    END AS TIMESTAMPTZ)""",
    """trino_iso_instant(s) AS trino_iso_moment(
        regexp_replace(s, '(T.*[+-][0-9]{2})([0-9]{2})$', '\\1:\\2'))""",
    """trino_iso_offset(s) AS regexp_extract(s, 'T.*([+-][0-9:]+)$', 1)""",
    """trino_iso_zone(s) AS CASE length(trino_iso_offset(s))
        WHEN 0 THEN 'UTC'
        WHEN 3 THEN trino_iso_offset(s) || ':00'
        ELSE trino_iso_offset(s)[1:3] || ':' || trino_iso_offset(s)[-2:]
    END""",
)
