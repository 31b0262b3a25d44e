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
from tests.support.airflow_run import DagRun, context
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
        repository = Repository(Project(root))
        sql_rules.renew(repository)
        return repository

    return make


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


def test_a_clock_is_told_with_what_to_write_instead(make: Make) -> None:
    sql = "SELECT COUNT(*) AS n FROM plays WHERE dt < CURRENT_DATE"
    assert sql_rules.sql_asks_no_clock(make(sql=sql)) == [
        f"{FIRST}: uses CURRENT_DATE, the time at which the query runs. Take dates from the"
        ' period: {{ period.contains("event_time") }}, {{ period.end_utc }}.'
    ]


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
    declaring = DAG_FILE.replace("import ", "import Input, ")
    without = make(declaring.replace("Report(", 'Report(inputs=[Input("plays")], '), sql)
    (finding,) = sql_rules.inputs_have_the_periods_that_the_sql_reads(without)
    assert re.search(
        r"plays\.py, line \d+: the template reads period\.previous, but the partitions"
        r" of the input exclude it\. Add previous=True to the Input\.$",
        finding,
    )
    shutil.rmtree(without.root)
    source = 'Report(inputs=[Input("plays", previous=True)], '
    repository = make(declaring.replace("Report(", source), sql)
    assert sql_rules.inputs_have_the_periods_that_the_sql_reads(repository) == []


def test_a_filter_of_the_template_may_be_that_of_the_period_before(make: Make) -> None:
    sql = (
        'SELECT country FROM plays WHERE {{ period.previous.partitions("dt") }}'
        ' AND {{ period.previous.contains("at") }} ORDER BY country'
    )
    declaring = DAG_FILE.replace("import ", "import Input, ")
    repository = make(declaring.replace("Report(", 'Report(inputs=[Input("plays")], '), sql)
    assert sql_rules.inputs_have_the_periods_that_the_sql_reads(repository) == []


@pytest.mark.parametrize(
    ("branch", "file"),
    [
        ("{{ params.lost }}", "plays.sql"),
        ('{{ params["lost"] }}', "plays.sql"),
        ('{% include "read.sql" %}', "read.sql"),
        ('{% from "read.sql" import a with context %}', "read.sql"),
    ],
)
def test_a_param_of_a_branch_that_no_period_takes_has_to_be_declared(
    make: Make, sql_folder: Path, branch: str, file: str
) -> None:
    (sql_folder / "read.sql").write_text('\n{% set a = params.lost %}{% include "read.sql" %}')
    sql = f"SELECT 1 AS a\n{{% if period.id > '2030' %}}, {branch} AS b{{% endif %}}"
    found = sql_rules.params_of_all_branches_are_declared(make(sql=sql))
    assert found == [f"{file}, line 2: the report has no param 'lost'."]


INPUTS = """inputs=[Input("plays", ["dt"]), Input("scores", ["year", "month", "day"])], """


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
    dag_file = DAG_FILE.replace("Report(", f"Report({INPUTS}").replace("import ", "import Input, ")
    found = sql_rules.sql_filters_the_partitions_of_its_inputs(
        make(dag_file, f"SELECT COUNT(*) AS a FROM plays {sql}")
    )
    keys = {"plays": '"dt"', "scores": '"year", "month", "day"'}
    assert found == [
        f"plays.sql: the template does not filter the partitions of {name}. Add"
        f" {{{{ inputs.{name}.partitions }}}} or {{{{ period.partitions({keys[name]}) }}}}."
        for name in unfiltered
    ]


def test_two_inputs_of_one_key_are_told_apart(make: Make) -> None:
    two = DAG_FILE.replace("Report(", 'Report(inputs=[Input("plays"), Input("scores")], ').replace(
        "import ", "import Input, "
    )
    found = sql_rules.sql_filters_the_partitions_of_its_inputs(
        make(two, "SELECT COUNT(*) AS a FROM plays, scores WHERE {{ inputs.plays.partitions }}")
    )
    assert len(found) == 1
    assert "inputs.scores.partitions" in found[0]


def test_an_unload_needs_no_order(make: Make) -> None:
    unloading = DAG_FILE.replace("doc=__doc__,", "doc=__doc__,\n    unload=True,")

    assert findings(make(unloading, SQL.partition("ORDER")[0])) == {}


def broken(rule: Rule, finding: str, old: str = "", new: str = "") -> object:
    return pytest.param(rule, finding, old, new, id=f"{rule.__name__} {new}")


@pytest.mark.parametrize(
    ("rule", "finding", "old", "new"),
    [
        broken(
            dag_rules.every_file_can_be_imported, "line 15: SyntaxError", "plays = ", "plays = ("
        ),
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
            broken(
                sql_rules.sql_asks_no_clock,
                "the time at which the query runs. Take",
                "p.country,",
                f"{clock} AS a,",
            )
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
            "CURRENT_DATE",
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


def test_a_file_that_cannot_be_imported_breaks_one_rule_and_no_golden_file_is_thought_left_over(
    make: Make,
) -> None:
    repository = make()
    file = repository.root / "dags" / "plays.py"
    file.write_text(DAG_FILE + "\n1 / 0\n")

    assert findings(Repository(Project(repository.root))).keys() == {"every_file_can_be_imported"}


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

    repository = Repository(Project(root))
    (finding,) = sql_rules.sql_is_the_golden_one(repository)
    assert "Edited" in finding
    assert sql_rules.renew(repository) == [GOLDEN / "weekly_2025-01-05.sql"]
    assert (root / golden_of_matches).is_file()

    # As soon as each file can be imported, what is left over is found and removed.
    (root / "dags" / "matches.py").write_text(other_file)
    repository = Repository(Project(root))
    (finding,) = sql_rules.sql_is_the_golden_one(repository)
    assert finding == f"{left_over}: no report uses this file."
    assert sql_rules.renew(repository) == [left_over]
    assert not (root / left_over).exists()
    assert (root / golden_of_matches).is_file()


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ('"""Café, an Airflow DAG."""\n'.encode("latin-1"), "broken.py, line 1: SyntaxError"),
        (b'"""An Airflow DAG."""\nraise SystemExit(0)\n', "broken.py, line 2: SystemExit: 0"),
    ],
)
def test_a_file_that_is_no_text_or_ends_the_process_is_a_finding(
    make: Make, content: bytes, finding: str
) -> None:
    repository = make()
    (repository.root / "dags" / "broken.py").write_bytes(content)

    (found,) = dag_rules.every_file_can_be_imported(Repository(Project(repository.root)))

    assert finding in found


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
    assert dag_rules.every_logic_is_known(Repository(Project(repository.root))) == []


def test_an_error_in_a_function_of_the_file_is_told_with_the_line_that_failed(make: Make) -> None:
    helper = "\n\ndef parts(text):\n    return 1 / len(text)\n\n\nparts('')\n"
    repository = make(DAG_FILE + helper)
    (finding,) = dag_rules.every_file_can_be_imported(repository)
    line = DAG_FILE.count("\n") + 4
    assert finding == (
        f"{repository.root / 'dags' / 'plays.py'}, line {line}: ZeroDivisionError: division by zero"
        " (`return 1 / len(text)`)"
    )


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "calls a service"),
        (
            "import socket\ntry: socket.socket().connect(('127.0.0.1', 9))\nexcept OSError: pass",
            "calls a service",
        ),
        (
            "import socket\ntry: socket.getaddrinfo('localhost', 9)\nexcept OSError: pass",
            "calls a service",
        ),
        (
            "from airflow.sdk import Connection\ntry: Connection.get('aws')"
            "\nexcept Exception: pass",
            "reads a connection",
        ),
        (
            "from airflow.models import Connection\n"
            "try: Connection.get_connection_from_secrets('aws')\nexcept Exception: pass",
            "reads a connection",
        ),
        (
            "from airflow.sdk import Variable; Variable.get('top', default=None)",
            "reads a Variable",
        ),
        (
            "from airflow.sdk import BaseHook; BaseHook.get_connection('aws')",
            "reads a connection",
        ),
        (
            "from datetime import date; plays_weekly.description = str(date.today())",
            "depends on the current date",
        ),
    ],
)
def test_a_file_that_asks_for_something_while_it_is_parsed(
    make: Make, monkeypatch: pytest.MonkeyPatch, line: str, finding: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    repository = make()
    (repository.root / "dags" / "plays.py").write_text(f"{DAG_FILE}\n{line}\n")

    found = dag_rules.parsing_asks_for_nothing(Repository(Project(repository.root)))

    assert any(finding in each for each in found), found


def test_a_change_of_the_sql_is_a_difference_until_it_is_renewed(
    make: Make, sql_folder: Path
) -> None:
    root = make().root
    (root / GOLDEN / "weekly_2025-03-02.sql").touch()  # one more period
    (root / GOLDEN / "daily_2025-03-02.sql").touch()
    (root / GOLDEN / "weekly_2025-03-03.sql").touch()  # a Monday
    (sql_folder / "plays.sql").write_text(SQL.replace("position DESC", "position ASC"))

    *left_over, first, second = sql_rules.sql_is_the_golden_one(Repository(Project(root)))

    assert [each.partition(":")[0] for each in left_over] == [
        str(GOLDEN / "daily_2025-03-02.sql"),
        str(GOLDEN / "weekly_2025-03-03.sql"),
    ]
    assert "\n-ORDER BY position DESC, country\n+ORDER BY position ASC, country" in first
    assert "\n+    max.total" in second

    sql_rules.renew(Repository(Project(root)))

    assert sql_rules.sql_is_the_golden_one(Repository(Project(root))) == []
    assert len(list((root / GOLDEN).iterdir())) == 2


def test_what_all_periods_of_a_report_have_in_common_is_found_once(make: Make) -> None:
    """A week and months of 28, 30 and 31 days: their SQL lists another number of dates."""
    monthly = 'plays_monthly = build_dag(plays, monthly(timezone="Asia/Tokyo"))\n'
    dag_file = f"{DAG_FILE}{monthly}".replace("weekly\n\n", "monthly, weekly\n\n")
    root = make(dag_file, "SELECT country FROM plays WHERE {{ period.partitions('dt') }}").root
    for month in ("2025-02", "2025-04"):
        (root / GOLDEN / f"monthly_{month}.sql").touch()
    sql_rules.renew(Repository(Project(root)))
    dates = set()
    for file in (root / GOLDEN).iterdir():
        dates.add(len(re.findall(r"'\d{4}-\d\d-\d\d'", file.read_text())))
    assert len(dates) == 4

    found = sql_rules.sql_orders_its_rows(Repository(Project(root)))

    assert len(found) == 1, found


READS_ALL = """SELECT COUNT(*) AS number FROM plays, {{ inputs.days_daily.table }}
WHERE {{ inputs.plays.partitions }} AND {{ period.partitions("dt") }}
  AND {{ period.previous.partitions("dt") }} AND {{ period.last_year.partitions("dt") }}
  AND {{ period.partitions("day", zone="Asia/Tokyo", format="%Y%m%d", kind="integer") }}
  AND {{ period.contains("played_at") }} AND number < {{ params.top }}
ORDER BY number
"""


def test_the_golden_sql_is_that_of_the_run(make: Make) -> None:
    fields = """late_by=timedelta(days=5), params={"top": 7},
    inputs=[
        Input("plays", "dt", previous=True, last_year=True),
        Published("days", daily("Asia/Tokyo")),
    ], """
    dag_file = DAG_FILE.replace("Report(", f"Report({fields}")
    dag_file = dag_file.replace("import ", "import Input, Published, daily, ")
    repository = make(f"from datetime import timedelta\n{dag_file}", READS_ALL)
    (declared,) = repository.reports.values()
    dag = declared.dag
    (query,) = sql_rules.snapshots(repository)
    period = dag.cadence.period(query.file.stem.removeprefix("weekly_"))
    task = dag.get_task("run_query")
    run = DagRun(data_interval_start=period.start_utc, data_interval_end=period.end_utc)
    task.render_template_fields(context(run), dag.get_template_env())
    assert query.sql.strip() == task.query.strip()


def test_sql_that_cannot_be_rendered_keeps_its_golden_files(make: Make, sql_folder: Path) -> None:
    root = make().root
    (sql_folder / "plays.sql").write_text("SELECT 1\nFROM {{ table }}")
    repository = Repository(Project(root))

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


def test_a_long_difference_is_cut_short(make: Make, sql_folder: Path) -> None:
    root = make().root
    (sql_folder / "plays.sql").write_text("-- more\n" * 300 + SQL)

    (finding,) = sql_rules.sql_is_the_golden_one(Repository(Project(root)))

    lines = finding.splitlines()
    # The file, a place, 23 of 300 lines that are new, and the one after them is not shown.
    assert (len(lines), lines[0]) == (26, f"{FIRST}:")
    assert lines[2:25] == ["+-- more"] * 23
    assert lines[25] == "... 278 more lines"

    (sql_folder / "plays.sql").write_text("-- more\n" * 22 + SQL)
    (finding,) = sql_rules.sql_is_the_golden_one(Repository(Project(root)))
    assert finding.splitlines()[2:] == [*["+-- more"] * 22, f" {SQL.splitlines()[0]}"]


def test_a_report_whose_first_period_is_not_over_has_golden_files_too(make: Make) -> None:
    assert findings(make(DAG_FILE.replace("2025-01-01", "2099-01-01"))) == {}
