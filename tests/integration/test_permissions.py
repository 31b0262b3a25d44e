"""The role of an environment may do what the reports do, and nothing else: on a stack, with real runs.

Everything that asks AWS for something runs once in prd, and some of it in dev, on what the stack's template
creates. The local services record what was asked for; the policies come from the template too.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import botocore.session
import pytest
import time_machine
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore import xform_name

from airflow_local.services import Services, local_services
from athena_reports import RetentionPolicy, build_cleanup
from athena_reports import s3 as s3_module
from athena_reports.page import published as page
from athena_reports.page.runs import ReportDag
from athena_reports.s3 import S3, S3Error
from athena_reports.settings import settings
from demo import flights, lake, plays
from demo.plays import PlaysSpec
from local_aws.actions import S3_ACTIONS, Actions
from local_aws.athena.clients import OWN_KEY
from local_aws.faults import Faults, Hold, SlowDown
from tests.fixtures import reports
from tests.integration import permissions
from tests.integration.permissions import Statement, Use, compare, grants, is_allowed
from tests.integration.runner import RunFacts, XComs, load_dags, manifest_of, prepare, run_dag
from tests.integration.scenarios import QUICK
from tests.integration.test_alerts import example
from tests.parsed import parse_dags
from tests.stacks import Stack, create_stack, kept_parameters, secrets_backend

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = [*reports.DAGS.glob("*.py"), REPOSITORY / "dags" / "athena_reports_maintenance.py"]
PLUGINS = REPOSITORY / "plugins"
ENVIRONMENTS = ("dev", "prd")
KEY = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
PLAYS = PlaysSpec(date(2025, 1, 24), date(2025, 2, 25), events=2_000, users=200, seed=7)
WEEK = "2025-02-02"
REPORTS = "reports"
"""The access key that the reports sign with here; seeding has another one."""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services of its own: the stacks create what other tests' preparation would."""
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as services:
        yield services


@pytest.fixture(scope="module")
def stacks(services: Services) -> dict[str, Stack]:
    """A stack for each environment, with a key, so that no statement is left out."""
    stacks = {}
    days = flights.partitions(flights.read_flights())
    february = [(day, table) for day, table in days if f"{day:%Y-%m}" == "2013-02"]
    for environment in ENVIRONMENTS:
        data = f"arn:aws:s3:::athena-lake-{environment}"
        keys = dict.fromkeys(("SourceKmsKeyArn", "KmsKeyArn", "FormerKmsKeyArns"), KEY)
        given = kept_parameters(environment) | {"SourceDataArns": f"{data},{data}/*"} | keys
        given |= {"ReportsPublishAlerts": "true"}
        stack = create_stack(client(services, "cloudformation"), given)
        stacks[environment] = stack
        place = {"database": f"database_{environment}", "bucket": f"athena-lake-{environment}"}
        for table, days in ((lake.PLAYS, plays.generate(PLAYS)), (lake.FLIGHTS, february)):
            lake.load(table, days, s3=services.s3, glue=services.glue, **place)
    return stacks


def client(services: Services, name: str, access_key: str = "seeding") -> Any:
    session: Any = boto3.Session(access_key, "secret", region_name="us-east-1")
    return session.client(name, endpoint_url=services.endpoint_url)


def reports_policy(services: Services, stack: Stack) -> list[Statement]:
    return statements_of(services, stack.outputs["ReportsPolicyArn"])


def statements_of(services: Services, *policies: str) -> list[Statement]:
    """What policies say, by their ARNs."""
    iam, found = client(services, "iam"), []
    for arn in policies:
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        found += Statement.all_of(document)
    return found


@pytest.fixture(scope="module")
def used(services: Services, stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Use]]:
    """What the reports did in each environment, and Athena for them."""
    found = {}
    for environment, stack in stacks.items():
        log = Actions(services.endpoint_url)
        log.clear()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**services.environment, **stack.variables}.items():
                patch.setenv(name, value)
            patch.setenv("AWS_ACCESS_KEY_ID", REPORTS)
            patch.setenv("AWS_MAX_ATTEMPTS", "1")
            patch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(reports.SQL))
            settings.cache_clear()
            topic = stack.outputs["AlertTopicArn"]
            everything = Everything(services, tmp_path_factory.mktemp(environment), patch, topic)
            everything.run() if environment == "prd" else everything.publish_by_both_ways()
        found[environment] = {
            Use(each.action, each.resource, via_athena=each.principal == OWN_KEY)
            for each in log.list()
            if each.principal in (REPORTS, OWN_KEY)
        }
    settings.cache_clear()
    return found


@dataclass(frozen=True)
class Everything:
    """All that asks AWS for something, in the environment of the process's variables."""

    services: Services
    folder: Path
    patch: pytest.MonkeyPatch
    topic: str

    def run(self) -> None:
        self.publish_by_both_ways()
        self.backfill_and_report_again()
        self.stop()
        self.reconcile()
        self.find_restatements()
        self.look_at_the_page()
        self.break_off_an_upload()
        self.tidy()
        self.read_secrets()
        self.tell()

    def publish_by_both_ways(self) -> None:
        by_csv = self.dag("top_users_weekly")
        xcoms = run_dag(by_csv, period=WEEK)
        assert manifest_of(self.services.s3, xcoms)["query"]["statement"] == "SELECT"
        by_files = self.dag("carriers_monthly")
        query = by_files.get_task("run_query")
        query.unload_to = f"{settings().query_results}unload/"
        query.query = query.query.rpartition("ORDER BY")[0]
        xcoms = run_dag(by_files, period="2013-02")
        assert manifest_of(self.services.s3, xcoms)["query"]["statement"] == "UNLOAD"
        # A column more changes the table.
        query.query = query.query.replace(" AS flights,", " AS flights,\n    1 AS one,")
        edited = manifest_of(self.services.s3, run_dag(by_files, period="2013-02"))
        assert len(edited["earlier_versions"]) == 1

    def backfill_and_report_again(self) -> None:
        dag = self.dag("top_users_weekly")
        cadence = dag.timetable.cadence
        for week in ("2025-02-09", "2025-02-16"):
            period = cadence.period(week)
            run_dag(dag, RunFacts(datetime.now(UTC), "backfill", period.start_utc, period.end_utc))
        dag.get_task("run_query").sql_params["top"] = 5
        again = manifest_of(self.services.s3, run_dag(dag, period=WEEK))
        assert len(again["earlier_versions"]) == 1

    def stop(self) -> None:
        """Stops one query as a worker does, and one as the triggerer does."""
        dag = self.dag("top_users_weekly")
        with self.held():
            query, _ = self.submit(dag)
            query.on_kill()
        with self.held():
            _, (wait, context) = self.submit(dag)
            with pytest.raises(TaskDeferred) as deferred:
                wait.execute(context)
            asyncio.run(deferred.value.trigger.on_kill())
            wait.on_kill()

    def reconcile(self) -> None:
        dag = self.dag("athena_reports_reconciler")
        with self.held():
            self.submit(self.dag("top_users_weekly"))
            self.patch.setattr(XComs, "get_dr_count", lambda *_, **__: 0, raising=False)
            task, context = prepare(dag.get_task("stop_unwanted_queries"), XComs(dag.dag_id), "run")
            task.grace = timedelta(0)
            assert len(task.execute(context)) == 1

    def find_restatements(self) -> None:
        dag = self.dag("athena_reports_restatement")
        task, context = prepare(dag.get_task("find"), XComs(dag.dag_id), "run", params={"stale": True})
        assert task.execute(context), "the week after the one that was restated is stale"

    def look_at_the_page(self) -> None:
        dag = self.dag("top_users_weekly")
        report = ReportDag(dag.dag_id, dag.timetable, datetime(2025, 1, 1, tzinfo=UTC), is_paused=False)
        page.Lake.connect.cache_clear()
        published = page.Lake.connect()
        page.Lake.connect.cache_clear()
        assert WEEK in published.partitions(dag.dag_id)
        manifest = published.manifest(report, WEEK)
        rows = published.rows(report, manifest, ["user_id", "score"])
        assert len(rows) == 5
        assert published.rows(report, manifest, ["user_id"], [rows[0][0]])
        for item in manifest.objects:
            with closing(published.s3.open(published.location(report, WEEK).uri(item.key))) as stream:
                assert stream.read()

    def break_off_an_upload(self) -> None:
        """A large object is uploaded in parts, and they are taken back when one fails."""
        names = settings()
        self.patch.setattr(s3_module, "MULTIPART_BYTES", 5 * 1024**2)
        file = self.folder / "large"
        file.write_bytes(os.urandom(9 * 1024**2))
        faults = Faults(self.services.endpoint_url)
        faults.add(SlowDown(method="PUT", bucket=names.report_bucket, key_prefix="large/", times=None))
        bucket = S3(S3Hook().get_conn(), names.bucket_owner)
        with pytest.raises(S3Error):
            bucket.upload(file, f"s3://{names.report_bucket}/large/object", "text/plain", sha256="0" * 64)
        faults.clear()

    def tidy(self) -> None:
        """Lists what may go, and repairs; then lets it go."""
        names = settings()
        self.services.glue.delete_partition(
            DatabaseName=names.report_database, TableName="top_users_weekly", PartitionValues=[WEEK]
        )
        listing = self.dag("athena_reports_cleanup")
        removing = build_cleanup(RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
            listed, removed = (run_dag(dag).values["clean_up", "return_value"] for dag in (listing, removing))
        assert listed["repaired"] == [f"top_users/weekly/{WEEK}"]
        assert removed["objects"] > 0

    def read_secrets(self) -> None:
        """As the components of the MWAA environment do for each connection."""
        _, arguments = secrets_backend(settings().environment)
        backend = SecretsManagerBackend(**arguments)
        assert backend.get_conn_value("warehouse") is None
        assert backend.get_variable("colour") is None

    def tell(self) -> None:
        file = self.folder / "told.py"
        file.write_text(re.sub('arn:aws:sns:[^"]+', self.topic, example()))
        late = run_dag(parse_dags(file)["best_users_weekly_late"], RunFacts(datetime(2025, 3, 20, tzinfo=UTC)))
        assert late.values["tell_if_late", "return_value"] is True

    @staticmethod
    def dag(dag_id: str) -> DAG:
        """A DAG of the tests' reports or of maintenance; it looks at its queries more often than in earnest."""
        (dag,) = (dags[dag_id] for file in DAGS if dag_id in (dags := load_dags(file)))
        if dag.has_task("wait_for_query"):
            dag.get_task("wait_for_query").policy = QUICK
        return dag

    def submit(self, dag: DAG) -> tuple[Any, tuple[Any, dict[str, Any]]]:
        """Submits a query; gives the task that did, and the one that would wait."""
        xcoms, run_id = XComs(dag.dag_id), f"run-{uuid4()}"
        ready = partial(prepare, xcoms=xcoms, run_id=run_id, params={"period": WEEK})
        query, context = ready(dag.get_task("run_query"))
        xcoms.xcom_push("return_value", query.execute(context))
        return query, ready(dag.get_task("wait_for_query"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold queries for as long as the context lasts."""
        faults = Faults(self.services.endpoint_url)
        faults.add(Hold(times=None))
        yield
        faults.clear()


def test_a_role_may_do_what_the_reports_do_and_nothing_else(
    services: Services, stacks: dict[str, Stack], used: dict[str, set[Use]]
) -> None:
    _, unseen = permissions.read_document(REPOSITORY)
    problems = compare(used["prd"], reports_policy(services, stacks["prd"]), unseen)
    assert not problems, "\n".join(problems)


def test_every_operation_that_the_code_names_was_seen(used: dict[str, set[Use]]) -> None:
    """A call on a way that `Everything` does not go would need a permission that nobody misses here."""
    seen = {use.action for use in used["prd"] if not use.via_athena}
    called = {action for file in PLUGINS.rglob("*.py") for action in called_actions(file.read_text())}
    assert len(called) > 15
    assert not called - seen, f"Let {Everything.__name__} go the ways that need {sorted(called - seen)}."


@pytest.mark.parametrize("how", ["client.put_object_tagging(Key=key)", "client.get_paginator('list_parts')"])
def test_an_operation_is_found_in_code(how: str) -> None:
    assert len(called_actions(f"def change(client, key):\n    return {how}\n")) == 1


def called_actions(code: str) -> set[str]:
    """The actions of IAM for the operations that code calls on a client, or asks a paginator for.

    An Airflow hook is none, and neither is what extends one: `get_connection` asks Airflow.
    """
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("hook", "self", "super()"):
            names.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return {action for name, action in operations().items() if name in names}


@cache
def operations() -> dict[str, str]:
    """The action of each operation of the three services, by the name of the client's method."""
    found = {}
    for service in ("s3", "glue", "athena"):
        model = botocore.session.get_session().get_service_model(service)
        actions = S3_ACTIONS if service == "s3" else {}
        found |= {xform_name(name): f"{service}:{actions.get(name, name)}" for name in model.operation_names}
    return found


def test_a_call_that_the_code_makes_anew_is_noticed(
    services: Services, stacks: dict[str, Stack], used: dict[str, set[Use]]
) -> None:
    bucket = stacks["prd"].outputs["ReportBucket"]
    services.s3.put_object(Bucket=bucket, Key="tagged")
    log = Actions(services.endpoint_url)
    log.clear()
    tags = {"TagSet": [{"Key": "report", "Value": "top_users"}]}
    client(services, "s3", REPORTS).put_object_tagging(Bucket=bucket, Key="tagged", Tagging=tags)
    (anew,) = (Use(each.action, each.resource) for each in log.list())
    statements, unseen = reports_policy(services, stacks["prd"]), permissions.read_document(REPOSITORY)[1]
    before = compare(used["prd"], statements, unseen)
    (problem,) = set(compare({*used["prd"], anew}, statements, unseen)).difference(before)
    assert problem.startswith(f"s3:PutObjectTagging on arn:aws:s3:::{bucket}/tagged is used and not granted.")


def test_a_grant_that_nothing_needs_is_noticed(
    services: Services, stacks: dict[str, Stack], used: dict[str, set[Use]]
) -> None:
    statements, unseen = reports_policy(services, stacks["prd"]), permissions.read_document(REPOSITORY)[1]
    (publish,) = (each for each in statements if each.sid == "PublishReports")
    wider = replace(publish, actions=[*publish.actions, "s3:PutObjectTagging"])
    before = compare(used["prd"], statements, unseen)
    after = compare(used["prd"], [wider if each is publish else each for each in statements], unseen)
    (problem,) = set(after).difference(before)
    granted = f"arn:aws:s3:::{stacks['prd'].outputs['ReportBucket']}/*"
    assert problem.startswith(f"s3:PutObjectTagging of PublishReports is granted on {granted} and never used")


@pytest.mark.parametrize(("own", "other"), [ENVIRONMENTS, ENVIRONMENTS[::-1]])
def test_a_role_cannot_touch_another_environment(
    services: Services, stacks: dict[str, Stack], used: dict[str, set[Use]], own: str, other: str
) -> None:
    role = stacks[own].outputs["ExecutionRoleArn"].rpartition("/")[2]
    attached = client(services, "iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert len(attached) == 2
    statements = statements_of(services, *(policy["PolicyArn"] for policy in attached))
    # The account has one catalog; what lies in it is what must be out of reach.
    asked = {use for use in used[other] if not use.resource.endswith(":catalog")}
    assert len({use.action for use in asked}) > 10
    assert not [use for use in asked if is_allowed(use, statements)]


def test_the_documentation_lists_what_the_template_grants(services: Services, stacks: dict[str, Stack]) -> None:
    used_, unseen = permissions.read_document(REPOSITORY)
    granted = grants(reports_policy(services, stacks["dev"]))
    assert {*used_, *unseen} == granted
    assert not used_.keys() & unseen.keys()
