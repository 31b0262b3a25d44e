"""Waits for the inputs of a period, before its query is paid."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.inputs.need import InputNeed
from athena_reports.inputs.published import Source
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.steps.airflow_errors import (
    report_errors,
    require_connection,
    run_label,
)
from athena_reports.steps.input_coverage import find_partitions
from athena_reports.steps.inputs_trigger import InputsTrigger
from athena_reports.steps.missing_inputs import MISSING_XCOM, MissingInputs
from athena_reports.steps.task_period import period_of_task

_PAUSE_SECONDS = 60.0  # without a triggerer


class InputsWaitSensor(AwsBaseSensor[SharedSessionHook]):
    """Waits for the inputs that have a `wait`, at least one, and holds no worker or pool slot.

    Looks once; what is missing is then watched by the triggerer. Without a triggerer
    (`deferrable=False`) the task is rescheduled between two looks. It succeeds when nothing is
    missing, or when the time of each input that lacks something is over: what then happens is
    decided before the query, by `missing` of the input.
    """

    aws_hook_class = SharedSessionHook
    _run_period: Period  # known when the task is rendered
    template_fields: Sequence[str] = ("period", *AwsBaseSensor.template_fields)

    def __init__(
        self,
        *,
        cadence: Cadence,
        late_by: timedelta,
        inputs: Sequence[Source],
        database: str,
        environment: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.waits = {source: source.wait for source in inputs if source.wait is not None}
        longest_wait = max(self.waits.values())
        super().__init__(
            mode="reschedule", poke_interval=_PAUSE_SECONDS, timeout=longest_wait, **kwargs
        )
        self.cadence = cadence
        self.late_by = late_by
        self.database = database
        self.environment = environment
        self.deferrable = deferrable
        # The period of the run in its wire form: a template field, which Airflow's UI shows.
        self.period: dict[str, Any] | None = None
        self._missing: Sequence[str] | None = None  # by the last look; None if it failed

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Decide on the run's period before anything is looked at."""
        with report_errors(f"{self.dag_id}: "):
            self._run_period = period_of_task(self.cadence, context, self.dag)
        self.period = self._run_period.model_dump(mode="json")
        super().render_template_fields(context, jinja_env)

    def execute(self, context: Context) -> Any:
        """Look once, then defer to the triggerer, or come back later."""
        require_connection(self.hook, self._about)
        if not self.deferrable:
            return super().execute(context)
        return self.execute_complete(context)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Look again when the trigger has found everything, or when an input's time is over."""
        awaited = self._look(context)
        if awaited:
            self._defer(awaited, context)

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on after a deferral, also after one whose time is over."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            return self.execute_complete(context)

    def poke(self, context: Context) -> bool:
        """Look once, and return whether the query may be started."""
        return not self._look(context)

    @property
    def _about(self) -> str:
        return run_label(self.dag_id, self._run_period, self.environment)

    def _look(self, context: Context) -> list[Source]:
        """Look once, and return the inputs to wait for; none if the query may be started."""
        now = datetime.now(UTC)
        end = self._run_period.end_utc
        awaited = [source for source, wait in self.waits.items() if now < end + wait]
        if not awaited:
            self.log.info("The wait for the inputs has timed out.")
            return []
        try:
            with report_errors(f"{self._about}: "):
                glue = self.hook.client("glue")
                s3 = S3(self.hook.client("s3"))
                partitions = find_partitions(
                    awaited,
                    self._run_period,
                    late_by=self.late_by,
                    now=now,
                    database=self.database,
                    glue=glue,
                    s3=s3,
                )
        except AirflowFailException:
            raise
        except AirflowException as error:
            if error.__cause__ is None:  # it is not of AWS, whose errors `report_errors` translates
                raise
            # A look may succeed later.
            self.log.warning("Could not check the inputs; will retry: %s", error.__cause__)
            self._missing = None
            return awaited
        self._missing = [str(coverage) for coverage, _ in partitions if coverage.lacks_partitions]
        if not self._missing:
            self.log.info("All required partitions exist.")
            return []
        waiting = MissingInputs(since=_start_of_run(context), missing=tuple(self._missing))
        self.log.info("%s", waiting)
        context["ti"].xcom_push(key=MISSING_XCOM, value=waiting.model_dump(mode="json"))
        return awaited

    def _defer(self, awaited: Sequence[Source], context: Context) -> NoReturn:
        needs = []
        for source in awaited:
            need = InputNeed(
                source=source,
                period=self._run_period,
                late_by=self.late_by,
                database=self.database,
            )
            needs.append(need.model_dump_json())
        shortest_wait = min(self.waits[source] for source in awaited)
        deadline = self._run_period.end_utc + shortest_wait
        trigger = InputsTrigger(
            needs=needs,
            since=_start_of_run(context).isoformat(),
            missing=self._missing,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        time_left = deadline - datetime.now(UTC)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=time_left)


def _start_of_run(context: Context) -> datetime:
    return context["dag_run"].start_date or datetime.now(UTC)  # the wait is its first task
