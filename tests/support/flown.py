"""A report with three published weeks in a folder of its own, where an author edits it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from athena_reports_cli.local.services import Services
from tests.support.local_athena import query_executions

DAG_ID = "flown_weekly"
WEEKS = ("2013-03-04", "2013-03-11", "2013-03-18")  # published
ALL_WEEKS = (*WEEKS, "2013-03-25")
REPORT = """
from athena_reports import Input, Report, build_dag, checks, weekly

flown = Report(
    name="flown",
    sql="flown.sql",
    owner="analytics",
    since="2013-03-04",
    until="2013-03-25",
    inputs=[Input("flights", "dt", missing="partial")],
    checks=[checks.unique("carrier")],
)
flown_weekly = build_dag(flown, weekly("monday", "America/New_York"))
"""
SQL = """-- The miles of each carrier.
SELECT carrier, COUNT(*) AS flights, SUM(distance) AS distance
FROM flights
WHERE {{ inputs.flights.partitions }} AND {{ period.contains("time_hour") }}
GROUP BY carrier
ORDER BY carrier
"""
# An edit that changes one day, and so one week.
EDIT = ("SUM(distance)", "SUM(IF(dt = '2013-03-13', 0, distance))")


def write(root: Path) -> None:
    """Write the report into an empty folder."""
    (root / "dags").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.athena-reports]\n")
    (root / "dags" / "flown.py").write_text(REPORT)
    (root / "sql").mkdir()
    (root / "sql" / "flown.sql").write_text(SQL)


@dataclass(frozen=True)
class Flown:
    """The folder of the report, and the services that it is published in."""

    root: Path
    services: Services

    def edit(self, old: str, new: str) -> None:
        """Replace a part of the SQL."""
        file = self.root / "sql" / "flown.sql"
        assert file.read_text().count(old) == 1
        file.write_text(file.read_text().replace(old, new))

    def queries(self) -> dict[str, dict[str, Any]]:
        """Every query that Athena was ever asked for, by its id."""
        queries = query_executions(self.services.athena)
        return {query["QueryExecutionId"]: query for query in queries}
