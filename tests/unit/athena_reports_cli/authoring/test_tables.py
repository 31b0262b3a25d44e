"""A table of rows in a terminal, and how texts differ."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from athena_reports_cli.authoring.tables import difference, rows_table


@pytest.mark.parametrize("width", [30, 100])
def test_null_is_dim_and_what_looks_like_markup_is_text(width: int) -> None:
    output = StringIO()
    console = Console(file=output, width=width, force_terminal=True, color_system="standard")
    rows = [("[red]", "x" * 40), ("", None), ("NULL", "10")]
    console.print(rows_table(["[i]\nvarchar", "名前\nint"], rows, caption="[dim]"))
    lines = output.getvalue().splitlines()
    plain = [re.sub(r"\x1b\[.*?m", "", line) for line in lines]
    assert re.search(r"\[i\] +┃ 名前", plain[1])
    assert any(re.match(r"│ \[red\] +│ x", line) for line in plain)
    assert sum(line.count("x") for line in plain) == 40  # nothing is cut off
    assert sum("\x1b[2mNULL" in line for line in lines) == 1
    assert plain[-1].strip() == "[dim]"


def test_a_long_difference_is_cut_short() -> None:
    more = [f"line {number}" for number in range(30)]
    lines = difference(["first"], [*more, "first"], context=1).splitlines()
    assert lines[:4] == ["--- expected", "+++ found", "@@ -1 +1,31 @@", "+line 0"]
    assert lines[23:] == ["+line 20", "... and 10 lines more"]
    assert difference(["first"], [*more[:20], "first"], context=1).splitlines()[23:] == [" first"]
    assert difference(more, more, context=1) == ""
