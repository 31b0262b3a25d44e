from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import daily, weekly
from athena_reports.periods.sql_literals import ParamValue, literal
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context, template_problem


@pytest.mark.parametrize(
    ("source", "begins", "says"),
    [
        *(
            (f"'{{{{ {name} }}}}'", f"line 1: it uses {name};", "period.contains")
            for name in ("ds", "var", "dag_run")
        ),
        (
            "{% set z = params.top %}{% for n in [1] %}{{ n }}{{ z }}{% endfor %}{{ b }}{{ a }}",
            "line 1: it uses a, b; a report's SQL knows only period, params and inputs.",
            'Dates come from the period, for example {{ period.contains("event_time") }}.',
        ),
        ("SELECT {{ macros.ds_add(ds, 1) }}", "line 1: it uses ds, macros;", ""),
        ("{{ params.top }}\n{{ a }}\n{{ params.zone }}", "line 2: it uses a;", ""),
        ("SELECT 1\nFROM t\nWHERE {{ period.contains( }}", "line 3: ", ""),
        ("{% if period %}SELECT 1", "line 1: ", ""),
        (
            "1\n{{ params.topp }}",
            "line 2: it cannot be rendered: ",
            "params has no 'topp'. The params are: top, zone.",
        ),
        (
            "{{ inputs.play.partitions }}",
            "line 1: it cannot be rendered: inputs has no 'play'.",
            "The inputs are: plays.",
        ),
        (
            "1\nLIMIT {{ params }}",
            "line 2: it cannot be rendered: params is not a value. Name one of them,",
            "The params are: top, zone.",
        ),
        (
            "WHERE {{ inputs }}",
            "line 1: it cannot be rendered: inputs is not a value.",
            "The inputs are: plays.",
        ),
        (
            "WHERE {{ inputs.plays }}",
            "line 1: it cannot be rendered: inputs.plays is not a value. Write its filter,",
            "{{ inputs.plays.partitions }}",
        ),
        ("{% for x in params %}{% endfor %}", "line 1: it cannot be rendered: ", "not iterable"),
        (
            "{{ period.data_interval_start }}",
            "line 1: it cannot be rendered: ",
            "no attribute 'data_interval_start'",
        ),
        *(
            (each, "line 1: it cannot be rendered: ", "")
            for each in ("{{ params.top + 1 }}", "{{ 1 / 0 }}", "{{ '{}'.format() }}")
        ),
        (
            "{% macro game() %}\n{{ params.game }}\n{% endmacro %}\n{{ game() }}",
            "line 2, called from line 4: it cannot be rendered: params has no 'game'.",
            "",
        ),
        (
            "{% for x in params.top %}{% endfor %}",
            "line 1: it cannot be rendered: 5 is not a list.",
            "",
        ),
        (
            "{% for x in params.zone %}{% endfor %}",  # a text has letters, which nobody means
            "line 1: it cannot be rendered: 'x' is not a list.",
            "",
        ),
        (
            "{{ period.partitions('dt', kind='varchar') }}",
            "line 1: it cannot be rendered: partitions(): kind",
            "",
        ),
    ],
)
def test_a_mistake_is_found_where_the_report_is_declared(
    source: str, begins: str, says: str, tmp_path: Path
) -> None:
    problem = (
        template_problem(source, {"top": 5, "zone": "x"}, tmp_path, [Input("plays", "dt")]) or ""
    )
    assert problem.startswith(begins)
    assert says in problem
    assert "SimpleNamespace" not in problem
    assert ".." not in problem  # a sentence ends with one full stop


def test_a_right_template_has_no_problem(tmp_path: Path) -> None:
    (tmp_path / "part.sql").write_text("{{ period.previous.contains('at') }}")
    assert (
        template_problem(
            "SELECT {{ params.top }} WHERE {% include 'part.sql' %}", {"top": 5}, tmp_path
        )
        is None
    )
    problem = template_problem("{{ params.top }}", {}, tmp_path) or ""
    assert problem.endswith("The params are: none. The inputs are: none.")


def rendered(source: str, value: ParamValue) -> str:
    context = template_context(SqlPeriod(daily().period("2025-01-01")), {"values": value})
    return SandboxedEnvironment(undefined=StrictUndefined).from_string(source).render(context)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(TEXTS | st.sampled_from(["O'Brien", "{{ params }}{% raw %}{# #}", "\\'"]))
def test_a_param_is_pasted_as_its_literal_and_never_rendered(text: str) -> None:
    assert rendered("SELECT {{ params.values }} AS x", text) == f"SELECT {literal(text)} AS x"


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("{% if params.values %}yes{% else %}no{% endif %}", False, "no"),
        ("{% if params.values %}yes{% else %}no{% endif %}", True, "yes"),
        ("{% if params.values == 'x' %}yes{% endif %}", "x", "yes"),
        ("{% if params.values == 'y' %}yes{% else %}no{% endif %}", "x", "no"),
        ("{% for item in params.values %}{{ item }};{% endfor %}", ["a'b", 1], "'a''b';1;"),
        (
            "{% for one in params.values %}{% for other in params.values %}"
            "{{ 'same;' if one == other else 'other;' }}{% endfor %}{% endfor %}",
            ["a", "b"],
            "same;other;other;same;",
        ),
        ("{{ params.values }}", [1, 2], "(1, 2)"),  # a name that dictionaries have as a method
    ],
)
def test_a_param_can_be_asked_about_and_prints_as_a_literal(
    source: str, value: ParamValue, expected: str
) -> None:
    assert rendered(source, value) == expected


@pytest.mark.parametrize(
    "source",
    [
        Input("plays", "dt"),
        Input("plays", ("year", "month", "day"), kind="integer", zone="Asia/Tokyo"),
        Input("plays", "dt", format="%Y-%m", previous=True),
    ],
)
def test_an_input_filters_its_partitions_as_it_is_declared(source: Input) -> None:
    period = SqlPeriod(weekly("sunday", timezone="Asia/Tokyo").period("2026-11-15"))
    how = {"zone": source.zone, "format": source.format, "kind": source.kind}
    said = period.partitions(*source.columns, **how)
    if source.previous:
        said = f"({period.previous.partitions(*source.columns, **how)} OR {said})"
    context = template_context(period, {}, [source])
    assert (
        SandboxedEnvironment().from_string("{{ inputs.plays.partitions }}").render(context) == said
    )


@pytest.mark.parametrize(
    ("source", "has_published", "expected"),
    [
        (Input("plays"), True, "plays"),
        (Input("plays", database="raw"), True, "raw.plays"),
        (Input("plays", database="my-lake"), True, '"my-lake".plays'),
        (Input("plays", database="raw"), False, "raw.plays"),
        (Input("1st plays", database="raw"), True, 'raw."1st plays"'),
        (Published("scores", daily()), True, "reports_dev.scores_daily"),
        (Published("scores", daily()), False, "scores_daily"),
    ],
)
def test_a_table_has_its_database_where_that_is_another_one(
    monkeypatch: pytest.MonkeyPatch, source: Source, has_published: bool, expected: str
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_REPORT_DATABASE", "reports_dev")
    period = SqlPeriod(weekly("sunday").period("2026-11-15"))
    context = template_context(period, {}, [source], has_published=has_published)
    sql = f"{{{{ (inputs | attr({source.table!r})).table }}}}"
    assert SandboxedEnvironment().from_string(sql).render(context) == expected


def test_with_a_limit_each_input_has_to_be_asked_for_its_filter(tmp_path: Path) -> None:
    inputs = [Input("plays", "dt"), Input("users", "dt")]
    source = "SELECT 1 FROM plays, users WHERE {{ inputs.users.partitions }}"
    assert template_problem(source, {}, tmp_path, inputs) is None
    problem = template_problem(source, {}, tmp_path, inputs, must_filter=True) or ""
    assert problem.startswith(
        "it has no filter on the partitions of plays, so max_scan cannot be checked."
    )
    assert problem.endswith("Write {{ inputs.plays.partitions }} into its WHERE.")
    problem = template_problem("SELECT 1", {}, tmp_path, inputs, must_filter=True) or ""
    assert "the partitions of plays, users, so" in problem
    assert problem.endswith("Write {{ inputs.plays.partitions }} into its WHERE.")
    whole = f"{source} AND {{{{ inputs.plays.partitions }}}}"
    assert template_problem(whole, {}, tmp_path, inputs, must_filter=True) is None


def test_an_input_filters_the_partitions_of_an_alias() -> None:
    """It is the filter of the input, with the alias before each key."""
    period = SqlPeriod(weekly("sunday", timezone="Asia/Tokyo").period("2026-11-29"))
    inputs = [
        Input("plays", "dt", previous=True),
        Input("users", ("year", "month", "day"), kind="integer"),
    ]
    context = template_context(period, {}, inputs)

    def render(source: str) -> str:
        return SandboxedEnvironment().from_string(source).render(context)

    plays = render("{{ inputs.plays.partitions }}")
    assert render('{{ inputs.plays.partitions_of("p") }}') == plays.replace("dt IN", "p.dt IN")
    assert plays.count("dt IN") == 2
    users = render("{{ inputs.users.partitions }}")
    qualified = render('{{ inputs.users.partitions_of("Users_2") }}')
    assert qualified.count("Users_2.year") == users.count("year") == 2
    assert qualified.replace("Users_2.", "") == users


@pytest.mark.parametrize("alias", ["", "p.dt", "p q", "1p", "p)", "p; --", "é"])
def test_an_alias_is_a_name(alias: str, tmp_path: Path) -> None:
    source = f"SELECT 1\nFROM t WHERE {{{{ inputs.plays.partitions_of({alias!r}) }}}}"
    problem = template_problem(source, {}, tmp_path, [Input("plays")]) or ""
    assert problem.startswith("line 2: it cannot be rendered: inputs.plays.partitions_of(): ")
    assert f"{alias!r} is not a name. Give the alias of the table, such as p." in problem


@pytest.mark.parametrize("call", ["partitions", "partitions_of('u')"])
def test_a_table_without_partitions_has_no_filter(call: str, tmp_path: Path) -> None:
    source = f"SELECT 1\nFROM users WHERE {{{{ inputs.users.{call} }}}}"
    problem = template_problem(source, {}, tmp_path, [Input("users", columns=())]) or ""
    assert problem.startswith("line 2: it cannot be rendered: inputs.users.partitions")
    assert "its Input says that it has no partitions (columns=()). Leave the filter out." in problem


def test_with_a_limit_a_table_without_partitions_needs_no_filter(tmp_path: Path) -> None:
    inputs = [Input("plays", "dt"), Input("users", columns=())]
    source = 'SELECT 1 FROM plays p, users WHERE {{ inputs.plays.partitions_of("p") }}'
    assert template_problem(source, {}, tmp_path, inputs, must_filter=True) is None
    problem = template_problem("SELECT 1", {}, tmp_path, inputs, must_filter=True) or ""
    assert problem.startswith("it has no filter on the partitions of plays, so")
