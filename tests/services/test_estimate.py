"""What a preview says that a query will scan, beside what Athena scans."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports_cli.authoring.table_uses import table_uses
from athena_reports_cli.local.services import Services
from tests.support.flown import Flown
from tests.support.local_athena import finished_query
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
FILTER = "(dt IN ('2013-03-13'))"
WHERE = f"WHERE {FILTER} AND EXTRACT(YEAR FROM time_hour) IS DISTINCT FROM 0"
COLUMNS = "carrier, distance, ' FROM flights' AS text"
LEAVES = (
    f"SELECT {COLUMNS} FROM flights {WHERE}",
    f"select {COLUMNS} -- FROM flights\nfrom database_dev.flights AS f {WHERE}",
    f'SELECT {COLUMNS} FROM (SELECT * FROM "flights" {WHERE}) AS inner_query',
)


class Query:
    """A query of CTEs. It counts by construction how often it scans the table."""

    def __init__(self) -> None:
        self.ctes: list[str] = []
        self.scans: list[int] = []

    def add(self, sql: str, scans: int) -> None:
        self.ctes.append(f"c{len(self.ctes)} AS ({sql})")
        self.scans.append(scans)

    @property
    def sql(self) -> str:
        last = f"SELECT * FROM c{len(self.ctes) - 1}"
        return f"WITH {', '.join(self.ctes)} {last}"


@st.composite
def queries(draw: st.DrawFn) -> Query:
    query = Query()
    query.add(draw(st.sampled_from(LEAVES)), 1)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["leaf", "union", "join", "subquery"]))
        left, right = (draw(st.integers(0, len(query.ctes) - 1)) for _ in range(2))
        scans = query.scans[left] + query.scans[right]
        if kind == "leaf":
            query.add(draw(st.sampled_from(LEAVES)), 1)
        elif kind == "union":
            query.add(f"SELECT * FROM c{left} UNION ALL SELECT * FROM c{right}", scans)
        elif kind == "join":
            count = f"(SELECT SUM(distance) AS n FROM c{right})"
            query.add(f"SELECT a.* FROM c{left} AS a CROSS JOIN {count} AS b WHERE b.n > 0", scans)
        else:
            most = f"(SELECT MIN(distance) FROM c{right})"
            query.add(f"SELECT * FROM c{left} WHERE distance > {most}", scans)
    return query


def scanned_bytes(services: Services, sql: str) -> int:
    execution, _ = finished_query(sql, services.athena, database="database_dev", workgroup="dev")
    return int(execution["Statistics"]["DataScannedInBytes"])


@pytest.fixture(scope="module")
def bytes_of_a_scan(running_services: Services, flights_lake: None) -> int:
    """What Athena scans of a query that reads the table once."""
    return scanned_bytes(running_services, f"{LEAVES[0]} AND distance > 0")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries())
def test_athena_scans_a_table_as_often_as_it_is_counted(
    services: Services, bytes_of_a_scan: int, query: Query
) -> None:
    """Every scan reads the same columns of one partition, so Athena's bytes tell their number."""
    uses = table_uses(query.sql, {"flights": {FILTER}, "database_dev.flights": {FILTER}})
    assert uses.are_filtered
    assert uses.number.total() == query.scans[-1]
    scanned = scanned_bytes(services, query.sql)
    assert scanned <= uses.number.total() * bytes_of_a_scan
    assert scanned > (uses.number.total() - 1) * bytes_of_a_scan / 2


WIDE = """WITH week AS (
    SELECT * FROM flights
    WHERE {{ inputs.flights.partitions }} AND {{ period.contains("time_hour") }}
)
SELECT * FROM week UNION ALL SELECT * FROM week
"""


def unpublished(flown: Flown, sql: str) -> None:
    """Make the report one that was never published, with other SQL."""
    file = flown.root / "dags" / "flown.py"
    text = file.read_text().replace('name="flown"', 'name="wide"')
    file.write_text(text.replace('    checks=[checks.unique("carrier")],\n', ""))
    (flown.root / "sql" / "flown.sql").write_text(sql)


def test_a_cte_that_is_read_twice_is_within_the_upper_bound(shell: Shell, flown: Flown) -> None:
    unpublished(flown, WIDE)
    seen = shell.json("preview", "wide", "2013-03-11", "--run")
    (flights,) = seen["inputs"]
    assert flights["uses"] == 2
    assert seen["trial"]["scanned_bytes"] > flights["bytes"]  # what was called the upper bound
    assert seen["trial"]["scanned_bytes"] <= seen["estimate"]["bytes"] == 2 * flights["bytes"]
    assert seen["estimate"]["is_upper_bound"]
    code, printed = shell("preview", "wide", "2013-03-11")
    assert code == 0
    assert "will scan" in printed
    assert "at most " in printed
    assert "scanned 2 times" in printed


def test_a_table_without_an_input_is_told_and_nothing_is_called_a_bound(
    shell: Shell, flown: Flown, plays_lake: None
) -> None:
    unpublished(flown, WIDE.replace("FROM week UNION", "FROM week, plays UNION"))
    seen = shell.json("preview", "wide", "2013-03-11")
    assert seen["undeclared"] == ["database_dev.plays"]
    assert not seen["estimate"]["is_upper_bound"]
    code, printed = shell("preview", "wide", "2013-03-11")
    assert code == 0
    assert "at most" not in printed
    assert "database_dev.plays" in printed
    assert "no Input declares it" in printed
