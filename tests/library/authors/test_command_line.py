"""What the commands of authors need beside a deployment; tests/commands types each of them."""

from __future__ import annotations

import pytest

from tests.support.flown import DAG_ID, Flown

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
WITHOUT_SQLGLOT = """
import sys
sys.modules["sqlglot"] = None
from athena_reports.authors.command_line import main
main()
"""


def test_a_command_that_reads_sql_says_that_its_parser_is_not_installed(flown: Flown) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        program = ("-c", WITHOUT_SQLGLOT)
        with flown.start(*arguments, program=program) as process:
            printed, errors = process.communicate("")
        return process.returncode, printed, errors

    for command in ("preview", "plan"):
        code, _, errors = run(command, DAG_ID)
        assert code == 1
        assert errors.strip() == (
            "This command needs sqlglot, which is not installed."
            " Install it: python -m pip install 'athena-reports[authors]'"
        )
    code, printed, errors = run("docs", DAG_ID)
    assert code == 0, errors
    assert "flights" in printed
