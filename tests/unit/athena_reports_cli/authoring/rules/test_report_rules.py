"""Each rule finds what it is there for: shown with a repository that breaks it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from athena_reports_cli.authoring.dry_run import Judge, Outcome, Verdict
from athena_reports_cli.authoring.rules import dag_rules, sql_rules
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule
from athena_reports_cli.local.project import Project
from tests.unit.athena_reports_cli.authoring.rules.plays import DAG_FILE

RULES = [*dag_rules.RULES, *sql_rules.RULES]
ROOT = Path(__file__).resolve().parents[5]
GOLDEN = Path("tests", "reports", "plays", "golden")
FIRST = GOLDEN / "weekly_2025-01-05.sql"
SQL = """-- Where players are, by the words that they chose.
SELECT
    p.country, COUNT(*) AS position,
    max.total
FROM plays AS p
JOIN (SELECT country, SUM(score) AS total FROM scores GROUP BY country) AS max
    ON p.country = max.country
WHERE {{ period.partitions("p.dt") }}
  AND {{ period.contains("played_at") }}
GROUP BY 1, max.total
ORDER BY position DESC, country
"""

Make = Callable[..., Repository]


@pytest.fixture
def make(tmp_path: Path, sql_folder: Path) -> Make:
    """Makes a repository of one report, with its golden files, and of other DAG files."""

    def make(dag_file: str = DAG_FILE, sql: str = SQL, **others: str) -> Repository:
        root = tmp_path / "repository"
        (root / "dags").mkdir(parents=True)
        (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
        (sql_folder / "plays.sql").write_text(sql)
        for name, source in {"plays": dag_file, **others}.items():
            (root / "dags" / f"{name}.py").write_text(source)
        repository = read(root)
        sql_rules.renew(repository)
        return repository

    return make


def read(root: Path) -> Repository:
    """A repository as it is now."""
    return Repository(Project(root))


def reading(inputs: str) -> str:
    """The DAG file with inputs."""
    importing = DAG_FILE.replace("import ", "import Input, ")
    return importing.replace("Report(", f"Report(inputs=[{inputs}], ")


def findings(repository: Repository) -> dict[str, list[str]]:
    """What breaks a rule, by the rule."""
    return {rule.__name__: found for rule in RULES if (found := rule(repository))}


def test_a_report_that_is_right_breaks_no_rule(make: Make) -> None:
    repository = make()

    assert findings(repository) == {}
    assert [file.name for file in (repository.root / GOLDEN).iterdir()] == ["weekly_2025-01-05.sql"]


def test_a_repository_without_any_report_breaks_no_rule(make: Make) -> None:
    repository = make(
        '"""An Airflow DAG."""\n\nfrom airflow.sdk import DAG\n\n'
        'dag = DAG("other", schedule=None)\n'
    )

    assert findings(repository) == {}
    assert not repository.reports


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS plays, SUM(score) AS score FROM plays",
        "SELECT country FROM plays UNION ALL SELECT country FROM tests ORDER BY country",
        "WITH a AS (SELECT country, type FROM plays) SELECT * FROM a ORDER BY country",
        "SELECT country AS _of, score AS score_2 FROM plays ORDER BY country",
        "SELECT * FROM plays ORDER BY country",
    ],
)
def test_sql_that_is_right(make: Make, sql: str) -> None:
    assert findings(make(sql=sql)) == {}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS now FROM plays WHERE note = 'NOW()' -- CURRENT_DATE",
        (
            'SELECT COUNT(*) AS today FROM plays WHERE "current_date" = {{ period.start_utc.date()'
            " | string | length }}"
        ),
    ],
)
def test_what_only_looks_like_a_clock_is_none(make: Make, sql: str) -> None:
    assert sql_rules.sql_asks_no_clock(make(sql=sql)) == []


def judged(outcome: Outcome, problem: str) -> Judge:
    """A dry run that gives the same verdict on every report."""
    verdict = Verdict(outcome=outcome, problem=problem)
    return lambda _declared, _period: verdict


@pytest.mark.parametrize(
    ("outcome", "found"),
    [("wrong", ["plays_weekly: plays.sql, line 3: no."]), ("not validated", []), ("valid", [])],
)
def test_only_what_a_dry_run_calls_wrong_is_a_finding(
    outcome: Outcome, found: list[str], make: Make
) -> None:
    repository = replace(make(), judge=judged(outcome, "plays.sql, line 3: no."))
    assert sql_rules.reports_pass_a_dry_run(repository) == found


@pytest.mark.parametrize(
    "events",
    [
        '{{ period.previous.contains("at") }}',
        '{% set before = period.previous %}{{ before.contains("at") }}',
    ],
)
def test_events_of_a_period_whose_partitions_the_input_leaves_out_are_found(
    make: Make, events: str
) -> None:
    sql = (
        "SELECT country FROM plays WHERE {{ inputs.plays.partitions }}"
        f" AND {events} ORDER BY country"
    )
    without = make(reading('Input("plays")'), sql)
    (finding,) = sql_rules.inputs_have_the_periods_that_the_sql_reads(without)
    assert re.search(
        r"plays\.py, line \d+: the template reads period\.previous, but the partitions"
        r" of the input exclude it\. Add previous=True to the Input\.$",
        finding,
    )
    shutil.rmtree(without.root)
    repository = make(reading('Input("plays", previous=True)'), sql)
    assert sql_rules.inputs_have_the_periods_that_the_sql_reads(repository) == []


def test_a_filter_of_the_template_may_be_that_of_the_period_before(make: Make) -> None:
    sql = (
        'SELECT country FROM plays WHERE {{ period.previous.partitions("dt") }}'
        ' AND {{ period.previous.contains("at") }} ORDER BY country'
    )
    repository = make(reading('Input("plays")'), sql)
    assert sql_rules.inputs_have_the_periods_that_the_sql_reads(repository) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("params.lost", ["plays.sql, line 2: the report has no param 'lost'."]),
        ('params["lost"]', ["plays.sql, line 2: the report has no param 'lost'."]),
        ("params.top", []),
    ],
)
def test_a_param_of_a_branch_that_no_period_takes_has_to_be_declared(
    make: Make, expression: str, found: list[str]
) -> None:
    dag_file = DAG_FILE.replace("Report(", 'Report(params={"top": 1}, ')
    sql = f"SELECT 1 AS a\n{{% if period.id > '2030' %}}, {{{{ {expression} }}}} AS b{{% endif %}}"
    assert sql_rules.params_of_all_branches_are_declared(make(dag_file, sql)) == found


INPUTS = 'Input("plays", ["dt"]), Input("scores", ["year", "month", "day"])'


@pytest.mark.parametrize(
    ("sql", "unfiltered"),
    [
        ("WHERE {{ inputs.plays.partitions }} AND {{ inputs.scores.partitions }}", []),
        (
            (
                'WHERE {{ period.partitions("p.dt") }} AND {{ period.previous.partitions("year",'
                ' "month", "s.day") }}'
            ),
            [],
        ),
        (
            'WHERE {{ inputs.plays.partitions }} AND {{ period.last_year.partitions("year",'
            ' "month", "day") }}',
            [],
        ),
        (
            (
                '{% set days = period.partitions("dt") %}WHERE {{ days }} AND {{'
                " inputs.scores.partitions }}"
            ),
            [],
        ),
        (
            """WHERE {{ period.partitions('p."DT"') }} AND {{ period.partitions('"year"',"""
            """ '"month"', '"day"') }}""",
            [],
        ),
        ("WHERE {{ inputs.plays.partitions }} -- scores", ["scores"]),
        ('WHERE {{ inputs.scores.partitions }} AND {{ period.partitions("day") }}', ["plays"]),
        (
            'WHERE {{ period.contains("at") }} AND dt = {{ "inputs.plays.partitions" | length }}',
            ["plays", "scores"],
        ),
        (
            "{% set p = inputs.plays %}WHERE {{ p.partitions_of('p') }}"
            " AND {{ inputs.scores.partitions }}",
            [],
        ),
    ],
)
def test_the_partitions_of_each_input_are_filtered(
    make: Make, sql: str, unfiltered: list[str]
) -> None:
    repository = make(reading(INPUTS), f"SELECT COUNT(*) AS a FROM plays {sql}")
    keys = {"plays": '"dt"', "scores": '"year", "month", "day"'}
    assert sql_rules.sql_filters_the_partitions_of_its_inputs(repository) == [
        f"plays.sql: the template does not filter the partitions of {name}. Add"
        f" {{{{ inputs.{name}.partitions }}}} or {{{{ period.partitions({keys[name]}) }}}}."
        for name in unfiltered
    ]


def test_two_inputs_of_one_key_are_told_apart(make: Make) -> None:
    sql = "SELECT COUNT(*) AS a FROM plays, scores WHERE {{ inputs.plays.partitions }}"
    repository = make(reading('Input("plays"), Input("scores")'), sql)
    (finding,) = sql_rules.sql_filters_the_partitions_of_its_inputs(repository)
    assert "inputs.scores.partitions" in finding


def test_an_unload_needs_no_order(make: Make) -> None:
    unloading = DAG_FILE.replace("doc=__doc__,", "doc=__doc__,\n    unload=True,")

    assert findings(make(unloading, SQL.partition("ORDER")[0])) == {}


def broken(rule: Rule, finding: str, old: str = "", new: str = "") -> object:
    return pytest.param(rule, finding, old, new, id=f"{rule.__name__} {new}")


@pytest.mark.parametrize(
    ("rule", "finding", "old", "new"),
    [
        broken(
            dag_rules.every_file_can_be_imported,
            "field 'sql': 'gone.sql'",
            "plays.sql",
            "gone.sql",
        ),
        broken(
            dag_rules.every_report_is_found,
            "plays.py: Airflow skips this file. Mention Airflow in its docstring.",
            "by an Airflow DAG",
            "",
        ),
        broken(
            dag_rules.every_report_is_found,
            "plays.py: this file has no report. If other files import it, add it to"
            " dags/.airflowignore.",
            "plays_weekly = ",
            "later = lambda: ",
        ),
        broken(
            dag_rules.every_report_has_an_owner,
            "plays_weekly: the report has no owner. Set owner=.",
            '    owner="analytics",\n',
        ),
        broken(sql_rules.sql_orders_its_rows, "no ORDER BY", "ORDER BY position DESC, country\n"),
        *(
            broken(sql_rules.sql_asks_no_clock, f"{FIRST}: uses ", "p.country,", f"{clock} AS a,")
            for clock in (
                "CURRENT_DATE",
                "current_timestamp(3)",
                "NOW()",
                "LOCALTIMESTAMP",
                "LOCALTIME",
                "CURRENT_TIME",
            )
        ),
        broken(
            sql_rules.sql_asks_no_clock,
            f"{FIRST}: uses CURRENT_DATE, the time at which the query runs. Take dates from the"
            ' period: {{ period.contains("event_time") }}, {{ period.end_utc }}.',
            "GROUP BY 1",
            "AND p.dt < (SELECT CURRENT_DATE) GROUP BY 1",
        ),
    ],
)
def test_a_rule_finds_what_it_is_there_for(
    make: Make, rule: Rule, finding: str, old: str, new: str
) -> None:
    in_sql = rule in sql_rules.RULES
    assert old in (SQL if in_sql else DAG_FILE)

    found = rule(make(sql=SQL.replace(old, new)) if in_sql else make(DAG_FILE.replace(old, new)))

    assert any(finding in each for each in found), found


def test_a_change_of_two_reports_is_shown_of_both(make: Make, sql_folder: Path) -> None:
    (sql_folder / "matches.sql").write_text(SQL)
    repository = make(matches=DAG_FILE.replace("plays", "matches"))
    for name in ("plays", "matches"):
        (sql_folder / f"{name}.sql").write_text(SQL.replace("position DESC", "position ASC"))
    found = sql_rules.sql_is_the_golden_one(Repository(repository.project))
    assert len(found) == 2
    assert all("\n+ORDER BY position ASC, country" in finding for finding in found)


@pytest.mark.parametrize(
    "files",
    [
        (DAG_FILE + '\nother = build_dag(plays, weekly("monday", timezone="Asia/Tokyo"))\n',),
        (DAG_FILE, DAG_FILE),
    ],
    ids=["one file", "two files"],
)
def test_one_dag_id_in_two_files_or_twice_in_one(make: Make, files: tuple[str, ...]) -> None:
    others = {f"other_{number}": text for number, text in enumerate(files[1:])}
    repository = make(files[0], **others)

    assert dag_rules.dag_ids_are_unique(repository) == [
        "plays_weekly: 2 DAGs have this id. Rename one."
    ]


def test_a_dag_needs_no_name_of_its_own(make: Make) -> None:
    """Airflow finds it without one, and its golden files stay."""
    repository = make(DAG_FILE.replace("plays_weekly = ", ""))
    assert list(repository.reports) == ["plays_weekly"]
    assert sql_rules.renew(repository) == []


def test_golden_files_of_a_file_that_cannot_be_imported_stay_beside_those_that_are_renewed(
    make: Make, sql_folder: Path
) -> None:
    other_file = DAG_FILE.replace("plays", "matches")
    (sql_folder / "matches.sql").write_text(SQL)
    root = make(matches=other_file).root
    golden_of_matches = Path("tests", "reports", "matches", "golden", "weekly_2025-01-05.sql")
    left_over = GOLDEN / "weekly_2025-01-06.sql"  # a Monday
    (root / left_over).touch()
    (root / "dags" / "matches.py").write_text(other_file + "\n1 / 0\n")
    (sql_folder / "plays.sql").write_text(f"-- Edited.\n{SQL}")

    repository = read(root)
    (finding,) = sql_rules.sql_is_the_golden_one(repository)
    assert "Edited" in finding
    assert sql_rules.renew(repository) == [FIRST]
    assert (root / golden_of_matches).is_file()
    assert (root / left_over).is_file()


def test_a_script_that_is_not_for_airflow_is_not_imported(make: Make) -> None:
    assert findings(make(helper='"""A helper."""\nraise SystemExit(0)\n')) == {}


CLOSES_OVER_A_LOGGER = """
import logging


def logged(log):
    return lambda rows, period: log.info(period) or rows


"""


def test_a_transform_that_cannot_be_read_is_told_with_what_to_write(make: Make) -> None:
    source = DAG_FILE.replace("\n\nplays = Report(", f"\n{CLOSES_OVER_A_LOGGER}plays = Report(")
    source = source.replace(
        "    doc=__doc__,", "    doc=__doc__,\n    transform=logged(logging.getLogger(__name__)),"
    )
    source += 'plays_daily = build_dag(plays, daily("Asia/Tokyo"))\n'
    source = source.replace("build_dag, weekly", "build_dag, daily, weekly")
    repository = make(source)
    assert len(repository.reports) == 2
    (finding,) = dag_rules.every_logic_is_known(repository)
    assert finding.startswith("plays: transform 1 of 1 (<lambda>): ")
    assert finding.endswith(
        ' Set Report(logic_version="1"), and increase it whenever a transform changes the rows.'
    )
    corrected = source.replace("doc=__doc__", 'logic_version="1", doc=__doc__')
    (repository.root / "dags" / "plays.py").write_text(corrected)
    assert dag_rules.every_logic_is_known(read(repository.root)) == []


ASKS = {
    "calls a service": [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket\ntry: socket.socket().connect(('127.0.0.1', 9))\nexcept OSError: pass",
        "import socket\ntry: socket.getaddrinfo('localhost', 9)\nexcept OSError: pass",
    ],
    "reads a connection": [
        "from airflow.sdk import Connection\ntry: Connection.get('aws')\nexcept Exception: pass",
        "from airflow.models import Connection\n"
        "try: Connection.get_connection_from_secrets('aws')\nexcept Exception: pass",
        "from airflow.sdk import BaseHook; BaseHook.get_connection('aws')",
    ],
    "reads a Variable": ["from airflow.sdk import Variable; Variable.get('top', default=None)"],
    "depends on the current date": [
        "from datetime import date; plays_weekly.description = str(date.today())",
        "from datetime import datetime; plays_weekly.description = str(datetime.now())",
        "import time; plays_weekly.description = str(time.time())",
        "import pendulum; plays_weekly.description = str(pendulum.yesterday('UTC'))",
    ],
}


@pytest.mark.parametrize(
    ("line", "finding"), [(line, finding) for finding, lines in ASKS.items() for line in lines]
)
def test_a_file_that_asks_for_something_while_it_is_parsed(
    make: Make, monkeypatch: pytest.MonkeyPatch, line: str, finding: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    repository = make()
    (repository.root / "dags" / "plays.py").write_text(f"{DAG_FILE}\n{line}\n")

    found = dag_rules.parsing_asks_for_nothing(read(repository.root))

    assert any(finding in each for each in found), found


def test_a_change_of_the_sql_is_a_difference_until_it_is_renewed(
    make: Make, sql_folder: Path
) -> None:
    root = make().root
    (root / GOLDEN / "weekly_2025-03-02.sql").touch()  # one more period
    (root / GOLDEN / "daily_2025-03-02.sql").touch()
    (root / GOLDEN / "weekly_2025-03-03.sql").touch()  # a Monday
    (sql_folder / "plays.sql").write_text(SQL.replace("position DESC", "position ASC"))

    *left_over, first, second = sql_rules.sql_is_the_golden_one(read(root))

    assert left_over == [
        f"{GOLDEN / name}.sql: no report uses this file."
        for name in ("daily_2025-03-02", "weekly_2025-03-03")
    ]
    assert "\n-ORDER BY position DESC, country\n+ORDER BY position ASC, country" in first
    assert "\n+    max.total" in second

    sql_rules.renew(read(root))

    assert sql_rules.sql_is_the_golden_one(read(root)) == []
    assert len(list((root / GOLDEN).iterdir())) == 2


def test_what_all_periods_of_a_report_have_in_common_is_found_once(make: Make) -> None:
    """A week and months of 28, 30 and 31 days: their SQL lists another number of dates."""
    monthly = 'plays_monthly = build_dag(plays, monthly(timezone="Asia/Tokyo"))\n'
    dag_file = f"{DAG_FILE}{monthly}".replace("weekly\n\n", "monthly, weekly\n\n")
    root = make(dag_file, "SELECT country FROM plays WHERE {{ period.partitions('dt') }}").root
    for month in ("2025-02", "2025-04"):
        (root / GOLDEN / f"monthly_{month}.sql").touch()
    sql_rules.renew(read(root))
    dates = set()
    for file in (root / GOLDEN).iterdir():
        dates.add(len(re.findall(r"'\d{4}-\d\d-\d\d'", file.read_text())))
    assert len(dates) == 4

    found = sql_rules.sql_orders_its_rows(read(root))

    assert len(found) == 1, found


def test_sql_that_cannot_be_rendered_keeps_its_golden_files(make: Make, sql_folder: Path) -> None:
    root = make().root
    (sql_folder / "plays.sql").write_text("SELECT 1\nFROM {{ table }}")
    repository = read(root)

    assert findings(repository) == {}  # the dry run says what is wrong
    assert sql_rules.renew(repository) == []
    assert (root / FIRST).is_file()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT country, SUM(score) OVER (PARTITION BY country) AS total FROM plays",
        "SELECT country, (SELECT MAX(score) FROM plays) AS best FROM plays",
        "SELECT country, COUNT(*) AS plays FROM plays GROUP BY country",
        "SELECT COUNT(*) AS plays FROM plays GROUP BY country",
        "SELECT COUNT(*) AS n FROM plays UNION ALL SELECT COUNT(*) AS n FROM tests",
        "WITH a AS (SELECT country FROM plays ORDER BY country) SELECT country FROM a",
        "SELECT country FROM (SELECT country FROM plays ORDER BY country) AS a",
    ],
)
def test_sql_of_several_rows_needs_an_order_of_its_own(make: Make, sql: str) -> None:
    (finding,) = sql_rules.sql_orders_its_rows(make(sql=sql))
    assert finding.endswith(": the outer query has no ORDER BY.")


def test_a_report_whose_first_period_is_not_over_has_golden_files_too(make: Make) -> None:
    assert findings(make(DAG_FILE.replace("2025-01-01", "2099-01-01"))) == {}


READER = '''"""Of Airflow DAGs."""
from athena_reports import Published, Report, build_dag, daily, monthly
report = Report(name="{name}", sql="plays.sql", since="2025-01-01", {fields})
dag = build_dag(report, {cadence}("Asia/Tokyo"))
'''


@pytest.mark.parametrize(
    ("published", "found"),
    [
        ('"days", daily("Asia/Tokyo")', []),
        (
            '"days", daily("UTC"), parts="overlapping"',
            [
                "months_monthly: days_daily is published Daily, Asia/Tokyo, but the input declares"
                " Daily, UTC. Use the cadence of its build_dag."
            ],
        ),
        (
            '"texts", daily("Asia/Tokyo")',
            [
                "months_monthly: texts_daily publishes no table to read. Add Parquet to the"
                " outputs= of that report."
            ],
        ),
    ],
)
def test_a_report_reads_what_another_one_publishes(
    make: Make, published: str, found: list[str]
) -> None:
    inputs = f"inputs=[Published({published})]"
    repository = make(
        READER.format(name="months", fields=inputs, cadence="monthly"),
        "SELECT 1 AS one",
        days=READER.format(name="days", fields="", cadence="daily"),
        texts=READER.format(name="texts", fields='outputs=["csv"]', cadence="daily"),
    )
    assert len(repository.reports) == 3
    assert dag_rules.reports_that_are_read_are_published(repository) == found
