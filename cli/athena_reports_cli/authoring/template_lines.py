"""From a place in rendered SQL to the line of the template that it comes from."""

import re
from bisect import bisect_right
from collections.abc import Callable

from jinja2 import Environment

# Signs that no SQL has. They enclose the number of a line.
_OPEN = "\ue000"
_CLOSE = "\ue001"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class TemplateLines:
    """Knows from which line of a template each place of its rendered SQL comes.

    The template is rendered once more, with the number of its line before each piece of its text.

    Args:
        template: The template.
        sql: What it renders to.
        environment: The environment that the template is rendered in.
        render: Renders a template as `sql` was rendered.
    """

    def __init__(
        self, template: str, sql: str, environment: Environment, render: Callable[[str], str]
    ) -> None:
        marked_sql = render(_marked(template, environment))
        self._starts: list[int] = []  # places in the SQL
        self._lines: list[int] = []  # and the lines that begin there
        pieces = []  # of the SQL, without the marks
        length = 0  # of the pieces so far
        end = 0  # of the mark before
        for mark in _MARK.finditer(marked_sql):
            piece = marked_sql[end : mark.start()]
            pieces.append(piece)
            length += len(piece)
            end = mark.end()
            self._starts.append(length)
            self._lines.append(int(mark[1]))
        pieces.append(marked_sql[end:])
        text = "".join(pieces)
        self._shift = len(text) - len(text.lstrip())  # `sql` is stripped
        # The marks may change what is rendered, where a template looks at its own text.
        self._are_known = text.strip() == sql

    def line_at(self, place: int) -> int | None:
        """Return the line of a place in the SQL, counted from 1; None if it is not known."""
        if not self._are_known:
            return None
        marks_before = bisect_right(self._starts, place + self._shift)
        if marks_before == 0:
            return 1
        return self._lines[marks_before - 1]


def _marked(template: str, environment: Environment) -> str:
    """Return a template with the number of the line before each piece of its text."""
    pieces = []
    for line, kind, text in environment.lex(template):
        if kind != "data":
            pieces.append(text)
            continue
        for number, piece in enumerate(text.split("\n"), start=line):
            if number > line:
                pieces.append("\n")
            pieces.append(f"{_OPEN}{number}{_CLOSE}{piece}")
    return "".join(pieces)
