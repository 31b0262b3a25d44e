"""A table of rows, and how texts differ, for a person.

The width is rich's: that of the terminal, or COLUMNS if it is set, or 80 characters if there is no
terminal, as in a CI job.
"""

from collections.abc import Iterable, Sequence
from difflib import unified_diff

from rich.table import Table as Grid
from rich.text import Text

from athena_reports_cli.local.words import counted

_SHOWN_LINES = 24  # of a difference


def rows_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    *,
    caption: str = "",
    numbers: bool = False,
) -> Grid:
    """Return a table of rows, in which None is NULL and nothing is markup.

    With `numbers`, all columns but the first are numbers, which are aligned to the right.
    """
    table = Grid(caption=Text(caption, style="dim") if caption else None)
    for heading in headings:
        is_number = numbers and heading != headings[0]
        table.add_column(Text(heading), overflow="fold", justify="right" if is_number else "left")
    for values in rows:
        table.add_row(*map(_cell, values))
    return table


def _cell(value: str | None) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(value)


def difference(expected: Sequence[str], found: Sequence[str], *, context: int) -> str:
    """Return how lines differ, as the first lines of a unified diff; empty if they are the same."""
    lines = list(unified_diff(expected, found, "expected", "found", n=context, lineterm=""))
    left_out = len(lines) - _SHOWN_LINES
    if left_out > 0:
        lines[_SHOWN_LINES:] = [f"... and {counted(left_out, 'line')} more"]
    return "\n".join(lines)
