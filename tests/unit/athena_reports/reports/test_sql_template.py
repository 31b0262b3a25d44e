from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, TemplateError
from jinja2.filters import FILTERS
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.errors import SqlTemplateError
from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import daily, weekly
from athena_reports.reports.sql_params import sql_environment
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context, template_errors
from athena_reports.sql.literals import ParamValue, literal


def problem_of(source: str, *inputs: Source) -> str:
    """What is wrong with a template."""
    params: dict[str, ParamValue] = {"top": 5, "zone": "x"}
    context = template_context(SqlPeriod(daily().period("2025-01-01")), params, inputs)
    environment = sql_environment(SandboxedEnvironment())
    with pytest.raises(SqlTemplateError) as caught, template_errors(params, inputs):
        list(environment.from_string(source).generate(context))
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("SELECT {{ macros.ds_add(ds, 1) }}", "line 1 of the SQL: macros is not defined."),
        ("{{ params.top }}\n{{ ds }}", "line 2 of the SQL: ds is not defined."),
        ("SELECT 1\nFROM t\nWHERE {{ period.contains( }}", "line 3 of the SQL: "),
        ("{% if period %}SELECT 1", "line 1 of the SQL: "),
        ("1\n{{ params.topp }}", "line 2 of the SQL: topp is not defined."),
        ("{{ inputs.play.partitions }}", "line 1 of the SQL: play is not defined."),
        ("{{ period.data_interval_start }}", "line 1 of the SQL: data_interval_start is not d"),
        (
            "1\nLIMIT {{ params }}",
            "line 2 of the SQL: params and inputs are not values. Use one of their fields:"
            " {{ params.top }}.",
        ),
        ("WHERE {{ inputs }}", "line 1 of the SQL: params and inputs are not values."),
        (
            "WHERE {{ inputs.plays }}",
            "line 1 of the SQL: an input is not a value. Use its filter:"
            " {{ inputs.plays.partitions }}.",
        ),
        *(
            (template, "line 1 of the SQL: ")
            for template in (
                "{% for x in params %}{% endfor %}",
                "{% for x in params.top %}{% endfor %}",
                "{% for x in params.zone %}{% endfor %}",  # a text has letters, which nobody means
                "{{ params.zone + 1 }}",
                "{{ params.zone < 1 }}",
                "{{ params.zone | int }}",
                "{{ params.zone | float(0) }}",
                "{{ params.zone.upper() }}",
                "{{ 1 / 0 }}",
                "{{ '{}'.format() }}",
                "{{ [] }}",
                "{{ period.partitions('dt', kind='varchar') }}",
            )
        ),
        (
            "{% macro game() %}\n{{ params.game }}\n{% endmacro %}\n{{ game() }}",
            "line 2, called from line 4 of the SQL: game is not defined.",
        ),
        *(
            (
                template,
                "line 2 of the SQL: the output of a macro or block that contains a quoted value",
            )
            for template in (
                "\n{%- filter upper %}{{ params.zone }}{% endfilter %}",
                "\n{% set x | upper %}{{ params.zone }}{% endset %}",
                "{% set x %}{{ params.zone }}{% endset %}\n{{ x | upper }}",
                "{% macro m() %}{{ [params.zone] }}{% endmacro %}\n{{ m() ~ '' }}",
                "{% macro m() %}{{ params.zone }}{% endmacro %}"
                "{% set x %}{{ m() }}{% endset %}\n{{ x | upper }}",
            )
        ),
        (
            "{{ params.zone | upper }}",
            "line 1 of the SQL: a text param can only be inserted or compared. Transform it in SQL,"
            " such as upper({{ params.zone }}); loop over a list instead of joining it.",
        ),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_with_its_line(
    source: str, problem: str
) -> None:
    message = problem_of(source, Input("plays", "dt"))
    assert message.startswith(problem)
    assert ".." not in message  # a sentence ends with one full stop


def test_a_template_is_told_what_it_sees() -> None:
    assert problem_of("{{ ds }}", Input("plays")).endswith(
        "A report's SQL can use period, params (top, zone) and inputs (plays)."
    )


def rendered(source: str, value: ParamValue) -> str:
    context = template_context(SqlPeriod(daily().period("2025-01-01")), {"values": value})
    environment = sql_environment(
        SandboxedEnvironment(undefined=StrictUndefined, extensions=["jinja2.ext.do"])
    )
    return "".join(environment.from_string(source).generate(context))  # as Airflow joins it


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(TEXTS | st.sampled_from(["O'Brien", "{{ params }}{% raw %}{# #}", "\\'"]))
def test_a_param_is_pasted_as_its_literal_and_never_rendered(text: str) -> None:
    assert rendered("SELECT {{ params.values }} AS x", text) == f"SELECT {literal(text)} AS x"


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("{% if params.values %}yes{% else %}no{% endif %}", False, "no"),
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
        ("{{ params.values | int }}", Decimal("7.9"), "7"),
        ("{{ params.values | float }}", 7, "DOUBLE '7.0'"),
        ("1 -{{ params.values - 5 }}", 3, "1 -(-2)"),  # two minus signs would begin a comment
        ("{{ params.values + 1 }}", Decimal("1.50"), "DECIMAL '2.50'"),
        ("{% for n in range(params.values) %}{{ n }};{% endfor %}", 2, "0;1;"),
        ("{{ params.values and 1 }}", False, "FALSE"),
        ("{{ params.values is true }}", True, "TRUE"),
        ("{{ params.values }}", None, "NULL"),
        ("{{ params.values or 5 }}", None, "5"),
        ("{{ params.values[0] }}, {{ params.values[-1] }}", ["a'b", 2], "'a''b', 2"),
        ("{{ params.values | sort | first }}", ["b", "a"], "'a'"),
        ("{{ params.values + [3] }}", [1, 2], "(1, 2, 3)"),
        ("{{ 'b' in params.values }}", ["a", "b"], "TRUE"),
        ("{{ params.values in ['a', 'b'] }}", "b", "TRUE"),
        ("{{ {'a': 1}[params.values] }}", "a", "1"),
        ("{{ params.values | length }}", "a'b", "3"),
        ("{{ params.values }}", date(2025, 1, 2), "DATE '2025-01-02'"),
        ("{{ [params.values] }}", date(2025, 1, 2), "(DATE '2025-01-02')"),
        ("{{ 'at >= ' ~ params.values }}", date(2025, 1, 2), "at >= DATE '2025-01-02'"),
        ("{{ params.values > period.start.date() }}", date(2025, 1, 2), "TRUE"),
        (
            "{{ params.values }} {{ params.values > period.start }}",
            datetime(2025, 1, 2, 3, tzinfo=UTC),
            "TIMESTAMP '2025-01-02 03:00:00.000 UTC' TRUE",
        ),
        ("{{ params.values.date() }}", datetime(2025, 1, 2, 3, tzinfo=UTC), "DATE '2025-01-02'"),
        ("{{ params.values.replace(day=1) }}", date(2025, 1, 2), "DATE '2025-01-01'"),
        (
            "{% macro eq(x) %}= {{ x }}{% endmacro %}"
            "{% set y %}{{ eq(params.values) }};{% endset %}{{ y }}",
            "a'b",
            "= 'a''b';",
        ),
        ("{{ params.values }}", datetime(2025, 1, 2), "TIMESTAMP '2025-01-02 00:00:00.000'"),  # noqa: DTZ001
    ],
)
def test_a_param_behaves_as_what_it_is_and_is_written_as_a_literal(
    source: str, value: ParamValue, expected: str
) -> None:
    assert rendered(source, value) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 'a' ~ 'b' }}", "ab"),
        ("{% macro name(of) %}{{ of }}_x{% endmacro %}{{ name('plays') }}", "plays_x"),
        ("DATE '{{ period.start.date() }}'", "DATE '2025-01-01'"),
        ("'{{ period.start }}'", "'2025-01-01 00:00:00+00:00'"),
        ("'{{ period }}', {{ period.start.year }}", "'2025-01-01', 2025"),
        ("{% for n in [1, 2] %}{{ loop.index }}{% endfor %}", "12"),
        ("{% macro name(of) %}{{ of }}_x{% endmacro %}{{ name('plays') | upper }}", "PLAYS_X"),
        (
            "{% filter trim %} a {% endfilter %}{% set x | upper %}b{{ 1 }}{% endset %}{{ x }}",
            "aB1",
        ),
    ],
)
def test_the_templates_own_names_are_written_as_they_are(source: str, expected: str) -> None:
    assert rendered(source, None) == expected


def test_a_template_does_not_change_a_list_of_the_report() -> None:
    values = [1]
    assert rendered("{% do params.values.append(2) %}{{ params.values }}", values) == "(1, 2)"
    assert values == [1]


# What a template can do with a param, besides the filters without arguments.
_USES = [
    "{{ params.values }}",
    "{{ params.values ~ 'x' }}",
    "{{ 'x' ~ params.values }}",
    "{{ 'x' + params.values }}",
    "{{ params.values + 'x' }}",
    "{{ params.values * 2 }}",
    "{{ '%s' % params.values }}",
    "{{ '%r' % params.values }}",
    "{{ '%s' | format(params.values) }}",
    "{{ '{}{!r}{!a}'.format(params.values, params.values, params.values) }}",
    "{{ '{0.__text__}'.format(params.values) }}",
    "{{ 'x'.join(params.values) }}",
    "{{ 'x'.replace('x', params.values) }}",
    "{{ 'x' | replace('x', params.values) }}",
    """{{ params.values | replace("'", "") }}""",
    """{{ params.values | trim("'") }}""",
    "{{ params.values | truncate(5, true, '', 0) }}",
    "{{ params.values | default('x') }}",
    "{{ params.values | join(', ') }}",
    "{{ params.values | map('upper') | join(', ') }}",
    "{{ params.values | map('string') | list }}",
    "{{ params.values | attr('__text__') }}",
    "{{ params.values | attr('text') }}",
    "{{ params.values.__text__ }}",
    "{{ params.values.__class__ }}",
    "{{ params.values.upper() }}",
    "{{ params.values[0] }}",
    "{{ params.values[1:] }}",
    "{{ params.values['__text__'] }}",
    "{{ params.values or 'x' }}",
    "{{ params.values and params.values }}",
    "{{ [params.values] }}",
    "{{ [params.values] ~ '' }}",
    "{{ {'x': params.values} }}",
    "{{ {'x': params.values} | xmlattr }}",
    "{{ dict(x=params.values) | tojson }}",
    "{{ [params.values, 1] | string | replace('x', '') }}",
    "{% for item in params.values %}{{ item }}{% endfor %}",
    "{% set x = params.values %}{{ x }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(params.values) }}",
    "{% filter upper %}{{ params.values }}{% endfilter %}",
    "{% set x | reverse %}{{ params.values }}{% endset %}{{ x }}",
    "{% set x %}{{ params.values }}{% endset %}{{ x | replace(\"'\", '') }}",
    "{% set x %}a {{ params.values }}{% endset %}{{ x ~ '' }}{{ x[::-1] }}",
    "{% macro m() %}{{ params.values }}{% endmacro %}{{ m() | reverse }}",
    "{% macro m() %}{{ caller() | reverse }}{% endmacro %}"
    "{% call m() %}{{ params.values }}{% endcall %}",
    "{{ params }}",
    "{{ params.__dict__ }}",
]
_SIGN = "hidden"


@given(
    st.tuples(TEXTS, st.sampled_from(["';", "''", '"', ")--", "&#39;", "%27"]), TEXTS),
    st.sampled_from([*_USES, *(f"{{{{ params.values | {name} }}}}" for name in sorted(FILTERS))]),
    st.booleans(),
)
def test_no_text_ever_leaves_its_literal(
    parts: tuple[str, str, str], source: str, in_list: bool
) -> None:
    text = _SIGN.join(parts)
    try:
        sql = rendered(source, [text] if in_list else text)
    except (TemplateError, TypeError, ValueError, AttributeError):
        return  # the template is rejected
    outside = sql.replace(literal(text), "").lower()
    letters = "".join(filter(str.isalpha, outside))
    assert _SIGN not in letters
    assert _SIGN[::-1] not in letters


@pytest.mark.parametrize(
    ("source", "has_published", "expected"),
    [
        (Input("plays"), True, "plays"),
        (Input("plays", database="raw"), True, "raw.plays"),
        (Input("plays", database="my-lake"), True, '"my-lake".plays'),
        (Input("plays", database="raw"), False, "raw.plays"),
        (Input("1st plays", database="raw"), True, 'raw."1st plays"'),
        (Input('the "plays"'), True, '"the ""plays"""'),
        (Input("order"), True, '"order"'),
        (Input("Order", database="user"), True, '"user"."Order"'),
        (
            Input("plays", (), database="raw", catalog="s3tablescatalog/lake"),
            True,
            '"s3tablescatalog/lake".raw.plays',
        ),
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
    reserved = render('{{ inputs.plays.partitions_of("order") }}')
    assert reserved == plays.replace("dt IN", '"order".dt IN')


@pytest.mark.parametrize("alias", ["", "p.dt", "p q", "1p", "é"])
def test_an_alias_is_a_name(alias: str) -> None:
    problem = problem_of(f"{{{{ inputs.plays.partitions_of({alias!r}) }}}}", Input("plays"))
    assert f"{alias!r} is not a valid alias. Pass the table's alias, such as p." in problem


@pytest.mark.parametrize("call", ["partitions", "partitions_of('u')"])
def test_a_table_without_partitions_has_no_filter(call: str) -> None:
    problem = problem_of(f"{{{{ inputs.users.{call} }}}}", Input("users", columns=()))
    assert "users has no partitions (columns=()). Remove the filter." in problem
