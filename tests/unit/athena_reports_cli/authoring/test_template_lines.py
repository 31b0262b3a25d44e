"""A place in rendered SQL leads to the line of the template that it was written on."""

from __future__ import annotations

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined

from athena_reports_cli.authoring.template_lines import template_line

PARTS = {"part.sql": "included_1,\n included_2"}


def lines_of(template: str) -> dict[str, int | None]:
    """The line of each word of the rendered SQL that ends with a digit."""
    environment = Environment(loader=DictLoader(PARTS), undefined=StrictUndefined)

    def render(source: str) -> str:
        return environment.from_string(source).render(items=["a_1", "b_1"])

    sql = render(template).strip()
    words = [word for word in sql.replace(",", " ").split() if word[-1].isdigit()]
    return {
        word: template_line(sql.index(word), sql, template, environment, render) for word in words
    }


@pytest.mark.parametrize(
    ("template", "lines"),
    [
        ("SELECT x_1,\n  x_2\n\nFROM t_4\n", {"x_1": 1, "x_2": 2, "t_4": 4}),
        ("\n\n  SELECT x_3\n FROM t_4", {"x_3": 3, "t_4": 4}),
        ("\n\n\n\n\n\n\nx_8\n, y_9", {"x_8": 8, "y_9": 9}),
        ("{# a\nb #}\nSELECT x_3 {#\n#} FROM t_4", {"x_3": 3, "t_4": 4}),
        ("{% set a = 1 %}\n{%- set b = 2 -%}\n\nSELECT x_4", {"x_4": 4}),
        ("SELECT x_1\n{%- if items %}\n, x_3\n{%- else %}\n, x_5\n{%- endif %}\n, x_7",
         {"x_1": 1, "x_3": 3, "x_7": 7}),
        ("SELECT\n{% for item in items %}\n{{ item }}, {{\nitem }}2, \n{% endfor %} x_6",
         {"a_1": 3, "a_12": 3, "b_1": 3, "b_12": 3, "x_6": 5}),
        ("{% set s %}\nx_2\n{% endset %}SELECT x_3\n, {{ s }}", {"x_3": 3, "x_2": 2}),
        ("SELECT x_1,\n{% include 'part.sql' %}\n, x_3",
         {"x_1": 1, "included_1": 2, "included_2": 2, "x_3": 3}),
        ("{% raw %}SELECT\n'{{', x_2{% endraw %}", {"x_2": 2}),
        ("SELECT\r\nx_2", {"x_2": 2}),
        ("a_1\nb_2\n \n\n\n\n\n", {"a_1": 1, "b_2": 2}),
        ("SELECT" + "\n" * 1_233 + "x_1234", {"x_1234": 1_234}),
        ("{{ items[0] }},\nx_2", {"a_1": 1, "x_2": 2}),  # no text stands before it
        # The template looks at its own text, which the numbers of the lines change.
        ("{% set s %}ab{% endset %}SELECT {{ s | length }} AS n_1", {"2": 1, "n_1": None}),
    ],
)  # fmt: skip
def test_each_word_is_found_on_its_line(template: str, lines: dict[str, int | None]) -> None:
    assert lines_of(template) == lines
