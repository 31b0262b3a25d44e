"""A table of rows for a person.

The width is rich's: that of the terminal, or COLUMNS if it is set, or 80 characters if there is no
terminal, as in a CI job.
"""

from collections.abc import Sequence

from rich.table import Table as Grid
from rich.text import Text


def rows_table(
    headings: Sequence[str], rows: Sequence[Sequence[str | None]], *, caption: str
) -> Grid:
    """Return a table of rows, in which None is NULL and nothing is markup."""
    table = Grid(caption=Text(caption, style="dim"))
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for values in rows:
        table.add_row(*map(_cell, values))
    return table


def _cell(value: str | None) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(value)
