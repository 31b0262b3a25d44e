"""A table fits into its terminal: where it is too wide, each column has a line of its own."""

from __future__ import annotations

import re
from io import StringIO
from unicodedata import east_asian_width

import pytest
from rich.console import Console

from athena_reports_cli.authoring.tables import Heading, LabelledRow, fitting_table
from tests.support.flown import Flown
from tests.support.shell import Shell

HEADINGS = [Heading("user_id", "varchar"), Heading("名前", "varchar"), Heading("score", "bigint")]
ROWS = [
    # A table could break this line between its words: it would fit, and be harder to read.
    LabelledRow("row 1", ("the first user", "山田太郎さん", "10")),
    LabelledRow("row 2", ("", None, "[red]")),
]


def printed(width: int) -> list[str]:
    output = StringIO()
    console = Console(file=output, width=width)
    console.print(fitting_table(console, HEADINGS, ROWS, caption="2 of 7 rows"))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def width_of(line: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in line)


def test_a_table_is_turned_at_the_first_column_that_does_not_fit() -> None:
    upright = printed(100)
    width = max(map(width_of, upright))
    assert printed(width) == upright
    assert any(re.search("user_id.*名前.*score", line) for line in upright)
    assert any(re.fullmatch(r"│ +│ NULL +│ \[red\] +│", line) for line in upright)

    turned = printed(width - 1)
    assert turned == [
        "row 1",
        "  user_id  varchar  the first user",
        "  名前     varchar  山田太郎さん",
        "  score    bigint   10",
        "row 2",
        "  user_id  varchar",  # an empty text is not NULL
        "  名前     varchar  NULL",
        "  score    bigint   [red]",
        "2 of 7 rows",
    ]


@pytest.mark.parametrize("width", [30, 250])
def test_what_looks_like_markup_is_text_and_any_width_may_be_exceeded(width: int) -> None:
    """Of a column, of a label and of a value."""
    output = StringIO()
    console = Console(file=output, width=width)
    row = LabelledRow("[b]", ("[red]", "x" * width))
    for headings in ([Heading("[i]"), Heading("n")], [Heading("[i]", "[u]"), Heading("n", "int")]):
        console.print(fitting_table(console, headings, [row], caption="[dim]"))
        lines = output.getvalue().splitlines()
        assert (lines[0].strip(), lines[-1].strip()) == ("[b]", "[dim]")
        assert lines[1].split() == [part for part in (*headings[0], "[red]") if part]
        assert sum(line.count("x") for line in lines) == width
        output.truncate(output.seek(0))

        console.print(fitting_table(console, headings, [LabelledRow("[b]", ("[red]", "x"))]))
        upright = output.getvalue()
        assert re.search(r"│ \[red\] +│ x", upright)
        assert re.search(r"┃ \[i\] +┃ n", upright)
        output.truncate(output.seek(0))


def test_null_is_dim_and_its_text_is_not() -> None:
    for width in (80, 12):
        output = StringIO()
        console = Console(file=output, width=width, force_terminal=True, color_system="standard")
        rows = [LabelledRow("row 1", (None,)), LabelledRow("row 2", ("NULL",))]
        console.print(fitting_table(console, [Heading("a_long_name")], rows))
        assert len(re.findall(r"\x1b\[2mNULL", output.getvalue())) == 1


@pytest.mark.parametrize("width", range(18, 42))
def test_no_line_is_wider_than_the_terminal_and_no_value_is_cut(width: int) -> None:
    lines = printed(width)
    assert max(map(width_of, lines)) <= width
    characters = "".join("".join(lines).split())
    assert "…" not in characters
    assert set("山田太郎さん") <= set(characters)


@pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
def test_a_preview_without_a_terminal_takes_its_width_from_the_shell(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    code, narrow = shell("preview", "flown", "2013-03-11", "--run")
    assert code == 0, narrow
    monkeypatch.setenv("COLUMNS", "80")
    code, wide = shell("preview", "flown", "2013-03-11", "--run")
    assert code == 0, wide
    carriers = re.findall(r"^  carrier +varchar +(\w+) *$", narrow, re.MULTILINE)
    assert len(carriers) == 10, narrow
    assert re.findall(r"^│ (\w+) +│", wide, re.MULTILINE) == carriers
