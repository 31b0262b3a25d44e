"""From a place in rendered SQL, such as an error of Athena names, to the line of the template."""

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment

from athena_reports.periods.calendar import Period
from athena_reports_cli.authoring.report_files import DeclaredReport, shown_path

# Athena begins the reason of a failure so. A syntax error, with which it starts no query, has no
# name.
_PLACE = re.compile(r"(?:[A-Z_]+: )?line (?P<line>\d+):(?P<column>\d+): ")
# Signs that no SQL has. They enclose the number of a line.
_OPEN = "\ue000"
_CLOSE = "\ue001"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


def template_place(reason: str, sql: str, declared: DeclaredReport, period: Period) -> str:
    """Return where in a report's SQL file an error of Athena is, with the code of the line.

    It is empty if the error names no place. `sql` is that of the period.
    """
    named = _PLACE.match(reason)
    if named is None:
        return ""
    line = int(named["line"])
    # Only a line feed ends a line of SQL, while `splitlines` also splits at others.
    lines_before = sql.split("\n")[: line - 1]
    place = sum(len(text) + 1 for text in lines_before) + int(named["column"]) - 1
    report = declared.report
    environment = declared.template_environment

    def render(template: str) -> str:
        rendered = environment.from_string(template).generate(declared.template_context(period))
        return "".join(rendered)

    file = shown_path(declared.sql_path)
    line_of_template = template_line(place, sql, report.sql_text, environment, render)
    if line_of_template is None:
        return f"{file}, line {line} of the rendered SQL"
    code = report.sql_text.split("\n")[line_of_template - 1].strip()
    return f"{file}, line {line_of_template} (`{code}`)"


def template_line(
    place: int, sql: str, template: str, environment: Environment, render: Callable[[str], str]
) -> int | None:
    """Return the line of a template, counted from 1, that a place in its SQL comes from.

    The template is rendered once more, with the number of its line before each piece of its text.
    None if these numbers change what is rendered up to the place, which is the index of a character
    in the SQL without white space around it.
    """
    # Texts at even places, and between them the numbers of lines.
    pieces = _MARK.split(render(_marked(template, environment)))
    text = "".join(pieces[::2])
    indent = len(text) - len(text.lstrip())
    if text.lstrip()[:place] != sql[:place]:
        return None
    line = 1
    end = -indent
    for piece, next_line in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        end += len(piece)
        if end > place or not next_line:
            break
        line = int(next_line)
    return line


def place_of(pattern: str, file: Path) -> str:
    """Return a file with the line of the last match of a pattern, if there is one."""
    text = file.read_text(encoding="utf-8")
    matches = list(re.finditer(pattern, text, re.IGNORECASE))
    if not matches:
        return shown_path(file)
    line = text.count("\n", 0, matches[-1].start()) + 1
    return f"{shown_path(file)}, line {line}"


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
