"""A table of rows for a person.

The width is rich's: that of the terminal, or COLUMNS if it is set, or 80 characters if there is no
terminal, as in a CI job.
"""

from collections.abc import Iterable, Sequence

from rich.table import Table as Grid
from rich.text import Text


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
