"""A table of rows for a person; one column per line where it is wider than the terminal.

The width is rich's: that of the terminal, or COLUMNS if it is set, or 80 characters if there is no
terminal, as in a CI job. A wide character, such as a Japanese one, takes two.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

_ANY_WIDTH = 100_000


class Heading(NamedTuple):
    """The name of a column, and its type if that is shown."""

    name: str
    type: str = ""


class LabelledRow(NamedTuple):
    """The values of a row, None for NULL, and what it is called where the table is turned."""

    label: str
    values: Sequence[str | None]


def fitting_table(
    console: Console,
    headings: Sequence[Heading],
    rows: Sequence[LabelledRow],
    *,
    caption: str = "",
) -> RenderableType:
    """Return a table of rows that fits into the width of a console.

    Args:
        console: Where it is printed.
        headings: The columns.
        rows: The rows.
        caption: What stands below the rows; empty for nothing.
    """
    table = _table(headings, rows, caption)
    options = console.options.update(width=_ANY_WIDTH)
    if Measurement.get(console, options, table).maximum <= console.width:
        return table
    return _turned(headings, rows, caption)


def _table(headings: Sequence[Heading], rows: Sequence[LabelledRow], caption: str) -> Grid:
    table = Grid(caption=Text(caption, style="dim") if caption else None)
    for heading in headings:
        name = Text(heading.name)
        if heading.type:
            name = Text(f"{heading.name}\n{heading.type}")
        table.add_column(name)
    for row in rows:
        table.add_row(*map(_cell, row.values))
    return table


def _turned(
    headings: Sequence[Heading], rows: Sequence[LabelledRow], caption: str
) -> RenderableType:
    lines = Grid.grid(padding=(0, 2))
    lines.add_column(overflow="fold")
    if any(heading.type for heading in headings):
        lines.add_column(overflow="fold")
    lines.add_column(overflow="fold")
    for row in rows:
        lines.add_row(Text(row.label, style="bold"))
        for heading, value in zip(headings, row.values, strict=True):
            cells = [Text(f"  {heading.name}")]
            if len(lines.columns) == 3:
                cells.append(Text(heading.type))
            lines.add_row(*cells, _cell(value))
    if not caption:
        return lines
    return Group(lines, Text(caption, style="dim"))


def _cell(value: str | None) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(value)
