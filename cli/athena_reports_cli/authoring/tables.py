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
    """The values of a row, None for NULL, and what the row is called."""

    label: str
    values: Sequence[str | None]
    style: str = ""


def fitting_table(
    console: Console,
    headings: Sequence[Heading],
    rows: Sequence[LabelledRow],
    *,
    caption: str = "",
    has_labels: bool = True,
) -> RenderableType:
    """Return a table of rows that fits into the width of a console.

    Args:
        console: Where it is printed.
        headings: The columns.
        rows: The rows.
        caption: What stands below the rows; empty for nothing.
        has_labels: Whether the labels of the rows are a column of the table. They are always shown
            where the table is turned.
    """
    table = _table(headings, rows, caption, has_labels=has_labels)
    options = console.options.update(width=_ANY_WIDTH)
    if Measurement.get(console, options, table).maximum <= console.width:
        return table
    return _turned(headings, rows, caption)


def _table(
    headings: Sequence[Heading], rows: Sequence[LabelledRow], caption: str, *, has_labels: bool
) -> Grid:
    table = Grid(caption=Text(caption, style="dim") if caption else None)
    if has_labels:
        table.add_column("")
    for heading in headings:
        name = Text(heading.name)
        if heading.type:
            name = Text(f"{heading.name}\n{heading.type}")
        table.add_column(name)
    for row in rows:
        cells = [_cell(value) for value in row.values]
        if has_labels:
            cells.insert(0, Text(row.label))
        table.add_row(*cells, style=row.style)
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
        lines.add_row(Text(row.label, style="bold"), style=row.style)
        for heading, value in zip(headings, row.values, strict=True):
            cells = [Text(f"  {heading.name}")]
            if len(lines.columns) == 3:
                cells.append(Text(heading.type))
            lines.add_row(*cells, _cell(value), style=row.style)
    if not caption:
        return lines
    return Group(lines, Text(caption, style="dim"))


def _cell(value: str | None) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(value)
