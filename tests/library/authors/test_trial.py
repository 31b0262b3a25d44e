"""A trial pays the query that the run would pay."""

from typing import Any

import pytest

from athena_reports import build_dag
from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.trial import Aws, trial
from athena_reports.errors import QueryError
from tests.library.conftest import MakeReport
from tests.library.steps.tasks import TOKYO_WEEK, WEEK, context
from tests.simulation.memory_athena import MemoryAthena, Plan

NOBODY: Any = None


@pytest.mark.parametrize(
    ("results", "configured"),
    [
        ("s3://results/", {"OutputLocation", "ExpectedBucketOwner", "EncryptionConfiguration"}),
        ("managed", set()),
    ],
)
def test_a_trial_asks_athena_as_the_run_does(
    results: str,
    configured: set[str],
    make_report: MakeReport,
    athena: MemoryAthena,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", results)
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "012345678901")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "alias/reports")
    dag = build_dag(make_report(), TOKYO_WEEK)
    run_query: Any = dag.get_task("run_query")
    run_query.require = None
    given = context()
    run_query.render_template_fields(given, dag.get_template_env())
    run_query.execute(given)

    athena.plan = lambda _: Plan.failing(1006, category=2)
    aws = Aws(athena, glue=NOBODY, s3=NOBODY)  # type: ignore[arg-type]
    says = r"^plays_weekly, period 2025-06-08: Query q-2 is FAILED"
    with pytest.raises(QueryError, match=says) as failure, trial(DeclaredReport(dag), WEEK, aws):
        raise AssertionError("it has rows")
    assert str(failure.value).endswith(" Correct it. Run the command again.")
    assert "Clear" not in str(failure.value)

    of_run, of_trial = (dict(query.request) for query in athena.queries.values())
    sql, _, marker = of_run.pop("QueryString").strip().partition("\n")
    assert marker.startswith("-- ")
    assert of_trial.pop("QueryString") == sql
    assert of_run["ResultConfiguration"].keys() == configured
    assert of_trial.pop("ResultConfiguration", {}) == of_run.pop("ResultConfiguration")
    assert of_trial == of_run
