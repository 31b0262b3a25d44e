"""The callable of the task that makes an unpublished version of a finished query's result."""

from typing import Any

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.errors import CheckError, ResultError
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.submission import Submitted
from athena_reports.rows.checks import failures
from athena_reports.rows.engine import open_engine
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import report_errors
from athena_reports.steps.recipe import Recipe


def transform_result(
    query: dict[str, Any] | None,
    submitted: dict[str, Any] | None,
    *,
    recipe: Recipe,
    memory_limit: str = "128MB",
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Make an unpublished version of a query's result, and return it as JSON.

    It is the callable of a PythonOperator.

    Args:
        query: What `AthenaWaitSensor` returned.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`.
        recipe: What is made of the result.
        memory_limit: What DuckDB may hold in memory, such as `128MB`.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
        aws_conn_id: Airflow connection.

    Raises:
        AirflowSkipException: There are no rows, and the report skips the period then.
        AirflowFailException: The query, its result, a transform or a check is wrong, or there are
            no rows.
        AirflowException: AWS did not serve a call, or the disk is full.
    """
    # Imported here: every step's process loads this module, and only this step needs it.
    from athena_reports.steps.preparation import prepare

    with report_errors():
        submission = Submitted.from_xcom(submitted)
        if not query or submission is None or submission.period is None:
            raise ResultError(
                f"Report {recipe.report!r}: transform received no query or no period. "
                "If wait_for_query was marked as success, clear run_query and its downstream "
                "tasks. In a custom DAG, pass the cadence to run_query, and "
                "submitted=XComArg(run_query, key='submitted') to transform."
            )
        execution = QueryExecution.model_validate(query)
        period = submission.period
        hook = SharedSessionHook(aws_conn_id=aws_conn_id)
        s3 = S3(hook.client("s3"), bucket_owner, encryption)
        about = f"Report {recipe.report!r}, period {period.id} ({period.cadence.unit})"
        if recipe.query_logic and submission.query_logic not in ("", recipe.query_logic):
            about += (
                ", with SQL older than the report's current SQL"
                " (clear run_query to run the current SQL)"
            )
        with open_engine(memory_limit, about=about) as engine:
            prepared = prepare(
                execution, submission, period, recipe, engine=engine, hook=hook, s3=s3
            )
        problem = failures(prepared.checks)
        if problem:
            uploaded = recipe.location(period).version_uri(prepared.version.version)
            raise CheckError(
                f"{about}: {problem} Nothing was published. To inspect the rows, see {uploaded}."
            )
    return prepared.model_dump(mode="json")
