"""Least privilege: what the tasks call,
what the stack grants and what docs/reference/permissions.md lists are one.

Everything that calls AWS runs once on the resources of a stack, and each call of a client is
recorded. What Athena and KMS do in the tasks' name is AWS's to decide: no local run shows it, so
the second table of the page lists it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import boto3
import botocore.session
import pytest
import time_machine
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore import xform_name
from botocore.client import BaseClient

from athena_reports import Cadence, Input, Published, RetentionPolicy, build_cleanup, notify
from athena_reports.aws import s3 as s3_module
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.page.published_reports import PublishedReports
from athena_reports.page.runs import ReportDag
from athena_reports.settings import settings
from athena_reports.steps.wait_for_inputs import InputsWaitSensor
from athena_reports_cli.local.services import Services
from demo import flights, lake
from demo.plays import PlaysSpec
from local_athena.athena.clients import OWN_KEY
from local_athena.faults import Faults, Hold, SlowDown
from tests.support import reports
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.calendars import utc_dates
from tests.support.cloudformation import local_services_with_stacks
from tests.support.dag_files import load_dags, parse_dags
from tests.support.examples import alerts_dag_file
from tests.support.existing_environment import OF_REPORTS, endpoints_below
from tests.support.notifiers import Recorder
from tests.support.paths import ROOT
from tests.support.published import manifest_of
from tests.support.stacks import (
    Stack,
    create_stack,
    kept_parameters,
    secrets_backend,
)
from tests.support.task_runner import prepare, run_dag
from tests.support.triggers import be_impatient, first_event, kill

DAGS = [*reports.DAGS.glob("*.py"), ROOT / "dags" / "athena_reports_maintenance.py"]
ENVIRONMENT = "prd"
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
KEY = ARN.format("kms", "key/00000000-0000-0000-0000-000000000000")
PLAYS = PlaysSpec(date(2025, 1, 24), date(2025, 2, 25), events=2_000, users=200, seed=7)
WEEK = "2025-02-02"
# Operations of S3 whose action has another name (Service Authorization Reference, "Amazon S3").
S3_ACTIONS = {
    **dict.fromkeys(
        ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject"),
        "PutObject",
    ),
    **dict.fromkeys(("HeadBucket", "ListObjects", "ListObjectsV2"), "ListBucket"),
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
}


class Use(NamedTuple):
    """An action of IAM, and the resource that it was done to."""

    action: str
    resource: str


class Grant(NamedTuple):
    """An action that a statement allows on its resources."""

    sid: str
    action: str
    resources: Sequence[str]

    def covers(self, use: Use) -> bool:
        """Whether it allows a call of a task: what it allows to Athena alone is none."""
        is_for_tasks = not self.sid.startswith("Athena")
        return (
            is_for_tasks
            and use.action == self.action
            and any(fnmatchcase(use.resource, r) for r in self.resources)
        )


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Services of its own: the stack creates what other tests' preparation would."""
    with local_services_with_stacks() as aws:
        yield Services(aws.endpoint_url)


def client(services: Services, name: str) -> Any:
    session: Any = boto3.Session("seeding", "secret", region_name="us-east-1")
    return session.client(name, endpoint_url=services.endpoint_url)


@pytest.fixture(scope="module")
def stack(services: Services) -> Stack:
    """A stack with keys, so that no statement is left out, and what its reports read."""
    data = f"arn:aws:s3:::athena-lake-{ENVIRONMENT}"
    given = kept_parameters(ENVIRONMENT) | {"SourceDataArns": f"{data},{data}/*"}
    given |= dict.fromkeys(("SourceKmsKeyArn", "KmsKeyArn", "FormerKmsKeyArns"), KEY)
    stack = create_stack(client(services, "cloudformation"), given)
    days = flights.partitions(flights.read_flights())
    february = [(day, table) for day, table in days if f"{day:%Y-%m}" == "2013-02"]
    services.s3.create_bucket(Bucket=f"athena-lake-{ENVIRONMENT}")
    services.glue.create_database(DatabaseInput={"Name": f"database_{ENVIRONMENT}"})
    lake.seed_plays(services, ENVIRONMENT, PLAYS)
    lake.load(services, ENVIRONMENT, "flights", flights.SCHEMA, february)
    return stack


@pytest.fixture(scope="module")
def statements(services: Services, stack: Stack) -> list[dict[str, Any]]:
    """The statements of the policy of the reports."""
    iam, arn = client(services, "iam"), stack.outputs["ReportsPolicyArn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    found: list[dict[str, Any]] = policy["Statement"]
    return found


@pytest.fixture(scope="module")
def grants(statements: list[dict[str, Any]]) -> list[Grant]:
    """All that the policy of the reports allows."""
    return [
        Grant(statement["Sid"], action, listed(statement["Resource"]))
        for statement in statements
        for action in listed(statement["Action"])
    ]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture(scope="module")
def used(services: Services, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> set[Use]:
    """What the reports' clients did; those of the triggerer call nothing that the tasks do not."""
    found: set[Use] = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **services.environment,
            **stack.variables,
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            patch.setenv(name, value)
        patch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(reports.SQL))
        be_impatient(patch)
        settings.cache_clear()
        everything = Everything(services, stack, tmp_path_factory.mktemp("files"), patch)
        call = BaseClient._make_api_call

        def recorded(client: Any, operation: str, parameters: Any) -> Any:
            is_of_services = client._get_credentials().access_key == OWN_KEY
            if not is_of_services and client not in (everything.s3, everything.glue):
                service = client.meta.service_model.service_name
                found.update(uses(service, operation, parameters, stack))
            return call(client, operation, parameters)

        patch.setattr(BaseClient, "_make_api_call", recorded)
        everything.run()
    settings.cache_clear()
    return found


def uses(service: str, operation: str, parameters: dict[str, Any], stack: Stack) -> Iterator[Use]:
    if service == "s3":
        keys = [each["Key"] for each in parameters.get("Delete", {}).get("Objects", [])]
        for key in keys or [parameters.get("Key")]:
            resource = f"arn:aws:s3:::{parameters['Bucket']}" + (f"/{key}" if key else "")
            yield Use(f"s3:{S3_ACTIONS.get(operation, operation)}", resource)
        if source := parameters.get("CopySource"):
            yield Use("s3:GetObject", f"arn:aws:s3:::{source['Bucket']}/{source['Key']}")
    elif service == "glue":
        yield Use(f"glue:{operation}", ARN.format("glue", f"database/{parameters['DatabaseName']}"))
    elif service == "athena":
        yield Use(
            f"athena:{operation}", ARN.format("athena", f"workgroup/{stack.outputs['Workgroup']}")
        )
    elif service == "secretsmanager":
        yield Use(f"{service}:{operation}", ARN.format(service, f"secret:{parameters['SecretId']}"))
    else:
        yield Use(f"{service}:{operation}", parameters.get("TargetArn", "*"))


@dataclass(frozen=True)
class Everything:
    """All that calls AWS, in the environment of the process's variables."""

    services: Services
    stack: Stack
    folder: Path
    patch: pytest.MonkeyPatch
    s3: Any = field(init=False)
    glue: Any = field(init=False)

    def __post_init__(self) -> None:
        for name in ("s3", "glue"):  # these look, and are not recorded
            object.__setattr__(self, name, client(self.services, name))

    def run(self) -> None:
        self.wait_for_inputs()
        self.find_partitions_with_further_keys()
        self.publish_by_both_ways()
        self.look_for_what_another_report_published()
        self.backfill_and_report_again()
        self.stop()
        self.find_restatements()
        self.deliver()
        self.look_at_the_page()
        self.break_off_an_upload()
        self.tidy()
        self.read_secrets_and_tell()

    def wait_for_inputs(self) -> None:
        """The task and its trigger look for partitions and done objects."""
        lake_bucket = f"athena-lake-{ENVIRONMENT}"
        done = f"s3://{lake_bucket}/plays/dt={{date}}/_SUCCESS"
        wait, context = self.waiting(Input("plays", wait=timedelta(days=36500), done=done))
        with pytest.raises(TaskDeferred) as deferred:
            wait.execute(context)
        for day in utc_dates(self.weeks.period(WEEK)):
            self.s3.put_object(Bucket=lake_bucket, Key=f"plays/dt={day}/_SUCCESS", Body=b"")
        assert asyncio.run(first_event(deferred.value.trigger)) == {"missing": []}

    def find_partitions_with_further_keys(self) -> None:
        keys = [{"Name": name, "Type": "string"} for name in ("dt", "region")]
        self.glue.create_table(
            DatabaseName=settings().database,
            TableInput={"Name": "regional_plays", "PartitionKeys": keys},
        )
        wait, context = self.waiting(Input("regional_plays", wait=timedelta(days=36500)))
        with pytest.raises(TaskDeferred):
            wait.execute(context)

    def publish_by_both_ways(self) -> None:
        by_csv = run_dag(self.dag("top_users_weekly"), period=WEEK)
        assert manifest_of(self.s3, by_csv)["query"]["statement"] == "SELECT"
        dag = self.dag("carriers_monthly")
        query = dag.get_task("run_query")
        query.unload_to = f"{settings().query_results}unload/"
        query.query = query.query.rpartition("ORDER BY")[0]
        assert (
            manifest_of(self.s3, run_dag(dag, period="2013-02"))["query"]["statement"] == "UNLOAD"
        )
        # A column more changes the table.
        query.query = query.query.replace(" AS flights,", " AS flights,\n    1 AS one,")
        assert len(manifest_of(self.s3, run_dag(dag, period="2013-02"))["earlier_versions"]) == 1

    def look_for_what_another_report_published(self) -> None:
        source = Published("top_users", self.weeks, wait=timedelta(days=36500))
        wait, context = self.waiting(source)
        assert wait.execute(context) is None, "it is published"

    def backfill_and_report_again(self) -> None:
        dag = self.dag("top_users_weekly")
        for week in ("2025-02-09", "2025-02-16"):
            period = dag.timetable.cadence.period(week)
            run_dag(dag, DagRun("backfill", datetime.now(UTC), period.start_utc, period.end_utc))
        dag.get_task("run_query").sql_params["top"] = 5
        assert len(manifest_of(self.s3, run_dag(dag, period=WEEK))["earlier_versions"]) == 1

    def stop(self) -> None:
        """Stop one query as its trigger does, and one as a wait does that gives up."""
        dag = self.dag("top_users_weekly")
        with self.held():
            _, (wait, context) = self.submit(dag)
            with pytest.raises(TaskDeferred) as deferred:
                wait.execute(context)
            asyncio.run(kill(deferred.value.trigger))
        with self.held():
            _, (wait, context) = self.submit(dag)
            with pytest.raises(AirflowFailException):
                wait.resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    def find_restatements(self) -> None:
        dag = self.dag("athena_reports_restatement")
        task, context = prepare(
            dag.get_task("find"), TaskInstance(dag_id=dag.dag_id), "run", params={"stale": True}
        )
        task.execute(context)

    def deliver(self) -> None:
        report_dag = self.dag("top_users_weekly")
        with DAG("top_users_weekly_deliver", schedule=None):
            operator = DeliverOperator(
                task_id="topic",
                report=report_dag.report,
                cadence=report_dag.cadence,
                channel=notify("topic", Recorder("{{ delivery.text }}")),
                delivery_policy=DeliveryPolicy(timedelta(0), timedelta(0), "published"),
                deployment=settings(),
            )
        ti = TaskInstance(dag_id=operator.dag_id)
        run = replace(DagRun.manual(datetime.now(UTC)), partition_key=WEEK)
        task, context = prepare(operator, ti, "run", run)
        with pytest.raises(AirflowSkipException):  # the period is too old
            task.execute(context)
        ti.try_number += 1
        ti.max_tries += 1  # somebody has cleared it, so it sends at any time
        assert task.execute(context)["number"] == 1

    def look_at_the_page(self) -> None:
        dag = self.dag("top_users_weekly")
        report = ReportDag(
            dag.dag_id, dag.timetable, datetime(2025, 1, 1, tzinfo=UTC), is_paused=False
        )
        PublishedReports.connect.cache_clear()
        published = PublishedReports.connect()
        PublishedReports.connect.cache_clear()
        assert WEEK in published.published_periods(dag.dag_id)
        manifest = published.manifest(report, WEEK)
        assert len(published.rows(report, manifest, ["user_id", "score"])) == 5
        for item in manifest.objects:
            with closing(
                published.s3.open(published.location(report, WEEK).uri(item.key))
            ) as stream:
                assert stream.read()

    def break_off_an_upload(self) -> None:
        """A large object is uploaded in parts, and they are taken back when one fails."""
        names = settings()
        self.patch.setattr(s3_module, "MULTIPART_BYTES", 5 * 1024**2)
        file = self.folder / "large"
        file.write_bytes(os.urandom(9 * 1024**2))
        faults = Faults(self.services.endpoint_url)
        faults.add(
            SlowDown(method="PUT", bucket=names.report_bucket, key_prefix="large/", times=None)
        )
        bucket = S3(S3Hook().get_conn(), names.bucket_owner)
        with pytest.raises(S3Error):
            bucket.upload(
                file, f"s3://{names.report_bucket}/large/object", "text/plain", sha256="0" * 64
            )
        faults.clear()

    def tidy(self) -> None:
        """Lists what may go, and repairs; then lets it go."""
        place = {"DatabaseName": settings().report_database, "TableName": "top_users_weekly"}
        self.glue.delete_partition(**place, PartitionValues=[WEEK])
        removing = build_cleanup(RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
            both = [run_dag(dag) for dag in (self.dag("athena_reports_cleanup"), removing)]
        listed, removed = (each.values["clean_up", "return_value"] for each in both)
        assert listed["repaired"] == [f"top_users/weekly/{WEEK}"]
        assert removed["objects"] > 0

    def read_secrets_and_tell(self) -> None:
        _, arguments = secrets_backend(ENVIRONMENT)
        assert SecretsManagerBackend(**arguments).get_conn_value("warehouse") is None
        file = self.folder / "told.py"
        file.write_text(
            re.sub('arn:aws:sns:[^"]+', self.stack.outputs["AlertTopicArn"], alerts_dag_file())
        )
        late = run_dag(
            parse_dags(file)["best_users_weekly_alerts"],
            DagRun.manual(datetime(2025, 3, 20, tzinfo=UTC)),
        )
        assert late.values["tell_when_due", "return_value"] is True

    @property
    def weeks(self) -> Cadence:
        return self.dag("top_users_weekly").timetable.cadence

    def waiting(self, source: Input | Published) -> tuple[Any, dict[str, Any]]:
        """A task that waits for an input of the week, as a worker gets it."""
        with DAG("waiting", schedule=None):
            wait = InputsWaitSensor(
                task_id="wait_for_inputs",
                cadence=self.weeks,
                late_by=timedelta(0),
                inputs=[source],
                database=settings().database,
            )
        return prepare(wait, TaskInstance(dag_id="waiting"), "run", params={"period": WEEK})

    @staticmethod
    def dag(dag_id: str) -> DAG:
        """A DAG of the tests' reports or of maintenance."""
        (dag,) = (dags[dag_id] for file in DAGS if dag_id in (dags := load_dags(file)))
        return dag

    def submit(self, dag: DAG) -> tuple[Any, tuple[Any, dict[str, Any]]]:
        """Submits a query; gives the task that did, and the one that would wait."""
        ready = partial(
            prepare,
            xcoms=TaskInstance(dag_id=dag.dag_id),
            run_id=f"run-{uuid4()}",
            params={"period": WEEK},
        )
        query, context = ready(dag.get_task("run_query"))
        context["ti"].xcom_push("return_value", query.execute(context))
        return query, ready(dag.get_task("wait_for_query"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold queries for as long as the context lasts."""
        faults = Faults(self.services.endpoint_url)
        faults.add(Hold(times=None))
        yield
        faults.clear()


def documented(heading: str) -> set[tuple[str, str]]:
    """The statements below a heading of the page, with the actions that are listed for each."""
    page = (ROOT / "docs" / "reference" / "permissions.md").read_text()
    section, rows, sid = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0], set(), ""
    for line in section.splitlines():
        if statement := re.match(r"`(\w+)`[,:]", line):
            sid = statement[1]
        elif action := re.match(r"- `([\w-]+:\w+)`: .+", line):
            rows.add((sid, action[1]))
    return rows


def test_the_tasks_use_what_is_granted_to_them_and_nothing_else(
    used: set[Use], grants: list[Grant]
) -> None:
    missing = {use for use in used if not any(grant.covers(use) for grant in grants)}
    assert not missing, (
        "grant it in ReportsPolicy and list it in docs/reference/permissions.md, or take the"
        " call out"
    )
    seen = {(grant.sid, grant.action) for grant in grants if any(grant.covers(use) for use in used)}
    assert seen == documented("What tasks call")


def test_the_page_lists_what_the_template_grants(grants: list[Grant]) -> None:
    called, by_aws = documented("What tasks call"), documented("What AWS does on their behalf")
    assert called | by_aws == {(grant.sid, grant.action) for grant in grants}
    assert not called & by_aws
    assert all(sid.startswith("Athena") or action.startswith("kms:") for sid, action in by_aws)


def test_every_operation_that_the_code_names_was_recorded(used: set[Use]) -> None:
    """A call on a way that `Everything` does not go would need a permission that
    nobody misses here.
    """
    actions = {}
    for service in ("s3", "glue", "athena"):
        for name in botocore.session.get_session().get_service_model(service).operation_names:
            action = S3_ACTIONS.get(name, name) if service == "s3" else name
            actions[xform_name(name)] = f"{service}:{action}"
    code = "\n".join(file.read_text() for file in (ROOT / "plugins").rglob("*.py"))
    # A client's method, or a paginator's name; a hook asks Airflow for its connection.
    named = re.findall(r"(?<!hook|Hook|self)(?<!super\(\))\.(\w+)|[\"'](\w+)[\"']", code)
    called = {actions[name] for names in named for name in names if name in actions}
    assert len(called) > 15
    assert not called - {use.action for use in used}, f"let {Everything.__name__} go these ways"


# --- docs/how-to/existing-environment.md


def test_the_page_has_an_endpoint_for_each_service_that_was_called(used: set[Use]) -> None:
    """Without a NAT gateway a service that has none is not reached."""
    services = {use.action.partition(":")[0] for use in used}
    assert services == endpoints_below(OF_REPORTS)
