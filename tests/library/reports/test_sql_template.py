from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.periods.calendar import daily, weekly
from athena_reports.periods.sql_period import ParamValue, SqlPeriod, literal
from athena_reports.reports.input import Input
from athena_reports.reports.sql_template import template_context, template_problem

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    "name",
    ["ds", "ds_nodash", "logical_date", "data_interval_start", "macros", "var", "dag_run", "ti", "conf"],
)
def test_the_names_of_airflow_are_refused_in_a_template(name: str, tmp_path: Path) -> None:
    problem = template_problem(f"SELECT '{{{{ {name} }}}}'", {}, tmp_path)

    assert problem is not None
    assert f"it uses {name};" in problem
    assert "period.contains" in problem


def test_all_unknown_names_are_listed_but_not_those_that_the_template_sets(tmp_path: Path) -> None:
    source = "{% set zone = params.zone %}{% for n in params.list %}{{ n }}{{ zone }}{% endfor %}{{ b }}{{ a }}"

    problem = template_problem(source, {}, tmp_path)
    assert problem is not None
    assert "it uses a, b;" in problem


def test_a_syntax_error_of_the_template_names_its_line(tmp_path: Path) -> None:
    problem = template_problem("SELECT 1\nFROM t\nWHERE {{ period.contains( }}", {}, tmp_path)

    assert problem is not None
    assert problem.startswith("line 3: ")


@pytest.mark.parametrize(("params", "told"), [({"top": 5, "zone": "x"}, "top, zone"), ({}, "none")])
def test_a_misspelt_param_is_told_which_params_there_are(
    params: dict[str, ParamValue], told: str, tmp_path: Path
) -> None:
    problem = template_problem("SELECT {{ params.topp }}", params, tmp_path)

    assert problem is not None
    assert "has no attribute 'topp'" in problem
    assert f"The params are: {told}." in problem


def test_a_right_template_has_no_problem(tmp_path: Path) -> None:
    source = "SELECT {{ params.top }} WHERE {{ period.previous.contains('at') }}"
    assert template_problem(source, {"top": 5}, tmp_path) is None


@given(TEXTS | st.sampled_from(["O'Brien", "{{ params }}{% raw %}{# #}", "\\'"]))
def test_a_param_is_pasted_as_its_literal_and_never_rendered(text: str) -> None:
    context = template_context(SqlPeriod(TOKYO_WEEK.period("2026-11-15")), {"text": text})

    template = SandboxedEnvironment(undefined=StrictUndefined).from_string("SELECT {{ params.text }} AS x")
    assert template.render(context) == f"SELECT {literal(text)} AS x"


@pytest.mark.parametrize("expression", ["params.missing", "period.data_interval_start", "period.strat"])
def test_an_unknown_attribute_is_an_error_and_not_an_empty_text(expression: str) -> None:
    context = template_context(SqlPeriod(TOKYO_WEEK.period("2026-11-15")), {"top": 1})
    template = SandboxedEnvironment(undefined=StrictUndefined).from_string(f"SELECT {{{{ {expression} }}}}")

    with pytest.raises(UndefinedError):
        template.render(context)


def rendered(source: str, **params: ParamValue) -> str:
    period = SqlPeriod(daily().period("2025-01-01"))
    return SandboxedEnvironment().from_string(source).render(template_context(period, params))


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("{% if params.values %}yes{% else %}no{% endif %}", False, "no"),
        ("{% if params.values %}yes{% else %}no{% endif %}", True, "yes"),
        ("{% if params.values == 'x' %}yes{% endif %}", "x", "yes"),
        ("{% if params.values == 'y' %}yes{% else %}no{% endif %}", "x", "no"),
        ("{% for item in params.values %}{{ item }};{% endfor %}", ["a'b", 1], "'a''b';1;"),
        # a name that dictionaries have as a method
        ("{{ params.values }}", [1, 2], "(1, 2)"),
    ],
)
def test_a_param_can_be_asked_about_and_prints_as_a_literal(source: str, value: ParamValue, expected: str) -> None:
    assert rendered(source, values=value) == expected


@pytest.mark.parametrize("source", ["{{ params.top + 1 }}", "{% for x in params.top %}{% endfor %}", "{{ 1 / 0 }}"])
def test_what_a_literal_cannot_do_is_found_where_the_report_is_declared(source: str, tmp_path: Path) -> None:
    assert "cannot be rendered" in (template_problem(source, {"top": 5}, tmp_path) or "")


@pytest.mark.parametrize(
    "source",
    [
        Input("plays", "dt"),
        Input("plays", ("year", "month", "day"), kind="integer", zone="Asia/Tokyo"),
        Input("plays", "dt", format="%Y-%m", previous=True),
    ],
)
def test_an_input_filters_its_partitions_as_it_is_declared(source: Input) -> None:
    period = SqlPeriod(TOKYO_WEEK.period("2026-11-15"))
    options = f"zone='{source.zone}', format='{source.format}', kind='{source.kind}'"
    columns = ", ".join(map(repr, source.columns))
    said = f"{{{{ period.partitions({columns}, {options}) }}}}"
    if source.previous:
        said = f"({{{{ period.previous.partitions({columns}, {options}) }}}} OR {said})"
    context = template_context(period, {}, [source])
    rendered = [
        SandboxedEnvironment().from_string(each).render(context) for each in (said, "{{ inputs.plays.partitions }}")
    ]
    assert rendered[0] == rendered[1]


def test_with_a_limit_each_input_has_to_be_asked_for_its_filter(tmp_path: Path) -> None:
    inputs = [Input("plays", "dt"), Input("users", "dt")]
    source = "SELECT 1 FROM plays, users WHERE {{ inputs.users.partitions }}"
    assert template_problem(source, {}, tmp_path, inputs) is None
    problem = template_problem(source, {}, tmp_path, inputs, must_filter=True) or ""
    assert problem.startswith("it has no filter on the partitions of plays, so max_scan cannot hold.")
    whole = f"{source} AND {{{{ inputs.plays.partitions }}}}"
    assert template_problem(whole, {}, tmp_path, inputs, must_filter=True) is None


@pytest.mark.parametrize("name", ["period.contain('at')", "inputs.play.partitions", "params.topp", "perod.id"])
def test_a_misspelt_name_is_found_in_its_line(tmp_path: Path, name: str) -> None:
    problem = template_problem(
        f"SELECT 1\nFROM t\nWHERE {{{{ {name} }}}}", {"top": 1}, tmp_path, [Input("plays", "dt")]
    )
    assert (problem or "").startswith("line 3: ")
