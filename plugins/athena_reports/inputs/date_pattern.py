"""Patterns of Java's DateTimeFormatter, with which a partition projection writes dates."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Self

Part = Literal["year", "month", "day", "hour"]

_PARTS: tuple[Part, ...] = ("year", "month", "day", "hour")
# A text in quotes, letters, or any other character, which stands for itself. Two quotes are one.
_TOKEN = re.compile(r"'([^']*)'|(([A-Za-z])\3*)|(.)", re.DOTALL)


class _Field(NamedTuple):
    """What some letters stand for.

    Attributes:
        part: The part of the time.
        directive: How `strftime` writes it in the same way.
    """

    part: Part
    directive: str


_FIELD_OF_LETTERS = {
    "yyyy": _Field("year", "%Y"),
    "uuuu": _Field("year", "%Y"),
    "MM": _Field("month", "%m"),
    "M": _Field("month", "%-m"),
    "dd": _Field("day", "%d"),
    "d": _Field("day", "%-d"),
    "HH": _Field("hour", "%H"),
    "H": _Field("hour", "%-H"),
}


@dataclass(frozen=True)
class DatePattern:
    """A pattern that writes hours, days, months or years.

    Attributes:
        text: The pattern, such as `yyyy/MM/dd/HH`.
        tokens: Its fields, and the texts between them.
    """

    text: str
    tokens: tuple[_Field | str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a pattern; ValueError for letters that are not known here, such as `MMM`."""
        tokens: list[_Field | str] = []
        for quoted, letters, _, other in _TOKEN.findall(text):
            if letters:
                if letters not in _FIELD_OF_LETTERS:
                    raise ValueError(f"{letters!r} is not known here")
                tokens.append(_FIELD_OF_LETTERS[letters])
            else:
                tokens.append(quoted or other or "'")
        return cls(text, tuple(tokens))

    @property
    def format(self) -> str:
        """The format of `strftime` that writes the same texts."""
        return "".join(
            token.replace("%", "%%") if isinstance(token, str) else token.directive
            for token in self.tokens
        )

    @property
    def finest(self) -> Part | None:
        """The shortest part of a time that it writes; None if it writes none."""
        written = {token.part for token in self.tokens if isinstance(token, _Field)}
        in_order = [part for part in _PARTS if part in written]
        return in_order[-1] if in_order else None

    def read(self, text: str) -> datetime:
        """Return the beginning, in UTC, of the time that a text stands for.

        Raises:
            ValueError: The text is not of this pattern.
        """
        match = re.fullmatch(self._expression(), text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form {self.text!r}")
        parts = {"year": 1970, "month": 1, "day": 1, "hour": 0}
        parts |= {part: int(digits) for part, digits in match.groupdict().items()}
        return datetime(**parts, tzinfo=UTC)

    def _expression(self) -> str:
        """Return a regular expression for its texts, with and without zeros before a number."""
        expressions = []
        read_parts = set()
        for token in self.tokens:
            if isinstance(token, str):
                expressions.append(re.escape(token))
                continue
            digits = "[0-9]{4}" if token.part == "year" else "[0-9]{1,2}"
            if token.part not in read_parts:
                digits = f"(?P<{token.part}>{digits})"
            read_parts.add(token.part)
            expressions.append(digits)
        return "".join(expressions)
