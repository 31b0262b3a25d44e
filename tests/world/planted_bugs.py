"""Bugs that the library does not have, to show that the simulation would find them:
each takes one guard away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

import pytest
from botocore.exceptions import BotoCoreError
from greenlet import getcurrent

from athena_reports.alerts.record import AlertRecord
from athena_reports.aws.s3 import S3
from athena_reports.delivery import deliver
from athena_reports.delivery.decision import Attempt, Send, Skip
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.receipt import History
from athena_reports.delivery.sending import Sent
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.maintenance import cleanup
from athena_reports.publication import commit, folder
from athena_reports.publication.documents import write_document
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.queries.request import QueryRequest
from athena_reports.steps import wait_for_query
from athena_reports.steps.execution_notes import ExecutionNotes
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from athena_reports.steps.wait_trigger import AthenaWaitTrigger
from tests.support.airflow_run import TaskInstance
from tests.support.memory_athena import MemoryAthena
from tests.world.world import World

Plant = Callable[[pytest.MonkeyPatch], None]


def no_condition_on_writes(patch: pytest.MonkeyPatch) -> None:
    def write(self: S3, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> str:
        written = self.client.put_object(**self._object(uri), Body=body, ContentType=content_type)
        return written["ETag"]

    patch.setattr(S3, "write", write)


def nothing_is_read_from_the_notes(patch: pytest.MonkeyPatch) -> None:
    nothing: Any = cached_property(lambda _: {})
    nothing.__set_name__(ExecutionNotes, "_ids_by_chain")
    patch.setattr(ExecutionNotes, "_ids_by_chain", nothing)


def a_successor_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    start_once = wait_for_query.start_once

    def forget(request: Any, token: str, hook: Any, _: Any) -> str:
        return start_once(request, token, hook, ExecutionNotes(cast(Any, {}), chain=""))

    patch.setattr(wait_for_query, "start_once", forget)


def the_note_of_another_token_is_used(patch: pytest.MonkeyPatch) -> None:
    def find_any(notes: ExecutionNotes, _: str) -> str:
        ids = [id_ for ids in notes._ids_by_chain.values() for id_ in ids.values()]
        return ids[-1] if ids else ""

    patch.setattr(ExecutionNotes, "find", find_any)


def the_clear_is_left_out_of_the_token(patch: pytest.MonkeyPatch) -> None:
    make_request = AthenaSubmitOperator._request

    def never_cleared(operator: AthenaSubmitOperator, context: Any) -> QueryRequest:
        run = copy(context["dag_run"])
        run.clear_number = 0
        return make_request(operator, {**context, "dag_run": run})

    patch.setattr(AthenaSubmitOperator, "_request", never_cleared)


def a_cancelled_query_is_started_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wait_for_query, "may_pass", lambda _: True)


def a_wait_that_gives_up_stops_nothing(patch: pytest.MonkeyPatch) -> None:
    begin = AthenaWaitSensor._begin

    def begin_without_stops(sensor: AthenaWaitSensor, context: Any) -> None:
        begin(sensor, context)
        sensor._hook = copy(sensor._hook)
        sensor._hook.stop_query = lambda _: None

    patch.setattr(AthenaWaitSensor, "_begin", begin_without_stops)


def a_wait_that_times_out_stops_what_it_was_given(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskInstance, "xcom_pull", lambda *_, **__: None)
    patch.setattr(ExecutionNotes, "ids_of_chain", lambda _: [])


def an_older_query_replaces_a_newer_one(patch: pytest.MonkeyPatch) -> None:
    succeed = commit.succeed

    def forgetful(current: Manifest | None, *given: Any, **named: Any) -> Any:
        if current is not None:
            query = current.query.model_copy(update={"submitted_at": "0"})
            current = current.model_copy(update={"query": query})
        return succeed(current, *given, **named)

    patch.setattr(commit, "succeed", forgetful)


def the_cleanup_removes_young_uploads(patch: pytest.MonkeyPatch) -> None:
    plan = cleanup.plan
    patch.setattr(cleanup, "plan", lambda *given: plan(*given[:-1], given[-1] + timedelta(days=3)))


def the_partition_comes_before_the_manifest(patch: pytest.MonkeyPatch) -> None:
    prepare = Table.prepare
    tables: dict[Any, Table] = {}  # of each actor

    def remember(table: Table, columns: Any, **options: Any) -> Any:
        tables[getcurrent()] = table
        return prepare(table, columns, **options)

    def early(document: Any, uri: str, s3: S3, **options: Any) -> str:
        if uri.endswith("/manifest.json"):
            table = tables[getcurrent()]
            location = table.location.period_folder(document.period.id)
            partition = document.partition(location, None)
            table.put_partition(document.period.id, document.columns, partition)
        return write_document(document, uri, s3, **options)

    patch.setattr(Table, "prepare", remember)
    patch.setattr(commit, "write_document", early)


def follow_does_not_read_the_manifest_again(patch: pytest.MonkeyPatch) -> None:
    def follow(
        manifest: Manifest,
        etag: str | None,
        *,
        location: PeriodLocation,
        s3: S3,
        table: Table | None,
        **_: Any,
    ) -> None:
        if table is not None:
            partition = manifest.partition(location, etag)
            table.put_partition(location.period_id, manifest.columns, partition)
        commit._update_latest(manifest, location.report, s3)

    patch.setattr(commit, "follow", follow)
    patch.setattr(cleanup, "follow", follow)


def a_version_is_named_by_its_content(patch: pytest.MonkeyPatch) -> None:
    def name(world: World, _: int) -> str:
        rows = world.rows[world.attempt.run.xcoms["wait_for_query"]["id"]]
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    patch.setattr(World, "version_name", name)


def the_client_repeats_a_start(patch: pytest.MonkeyPatch) -> None:
    start = MemoryAthena.start_query_execution

    def repeated(athena: MemoryAthena, **request: Any) -> dict[str, Any]:
        try:
            return start(athena, **request)
        except BotoCoreError:
            return start(athena, **request | {"ClientRequestToken": "another one".ljust(32)})

    patch.setattr(MemoryAthena, "start_query_execution", repeated)


def an_alert_is_noted_before_it_is_sent(patch: pytest.MonkeyPatch) -> None:
    notified = AlertRecord.notified

    def read_and_note(record: AlertRecord) -> set[str]:
        names = notified(record)
        for number in range(1, 4):
            record.note_notified(f"MemoryNotifier {number}")
        return names

    patch.setattr(AlertRecord, "notified", read_and_note)


def nobody_reads_who_was_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AlertRecord, "notified", lambda _: set())


def the_owner_of_a_folder_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folder, "_conflict", lambda *_: "")


def a_cleanup_does_not_ask_whose_folder_it_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cleanup, "_is_of_another_environment", lambda *_: False)
    patch.setattr(cleanup, "_require_own", lambda *_: None)


def what_is_missing_counts_as_there(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InputCoverage, "gaps", [])


def a_retry_takes_a_query_of_fewer_partitions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AthenaSubmitOperator, "_query_with_coverage", lambda operator: operator.query)


def a_triggerer_that_lost_a_wait_stops_its_query(patch: pytest.MonkeyPatch) -> None:
    async def no_longer(_: AthenaWaitTrigger) -> bool:
        return False

    patch.setattr(AthenaWaitTrigger, "_is_awaited", no_longer)


def a_receipt_is_written_before_the_sending(patch: pytest.MonkeyPatch) -> None:
    claim_and_send = DeliverOperator._claim_and_send

    def note_and_send(
        operator: DeliverOperator, message: Send, published: Any, *others: Any
    ) -> Sent:
        attempt = Attempt("event-1", 0, datetime.now(UTC))
        receipt = operator._receipt(Sent(), message, published.manifest, attempt)
        receipt.write(published.location, published.s3)
        return claim_and_send(operator, message, published, *others)

    patch.setattr(DeliverOperator, "_claim_and_send", note_and_send)


def a_receipt_is_of_a_period(patch: pytest.MonkeyPatch) -> None:
    decide = deliver.decide

    def decide_by_period(
        channel: str, manifest: Manifest, history: History, *others: Any
    ) -> Send | Skip:
        of_any_version = [
            receipt.model_copy(update={"version": manifest.version}) for receipt in history.receipts
        ]
        return decide(channel, manifest, history._replace(receipts=of_any_version), *others)

    patch.setattr(deliver, "decide", decide_by_period)


BUGS: dict[Plant, int] = {  # each with a seed that has found it
    no_condition_on_writes: 4,
    nothing_is_read_from_the_notes: 1,
    a_successor_is_not_noted: 0,
    the_note_of_another_token_is_used: 0,
    the_clear_is_left_out_of_the_token: 0,
    a_cancelled_query_is_started_again: 1,
    a_wait_that_gives_up_stops_nothing: 19,
    a_wait_that_times_out_stops_what_it_was_given: 98,
    an_older_query_replaces_a_newer_one: 1,
    the_cleanup_removes_young_uploads: 49,
    the_partition_comes_before_the_manifest: 275,
    follow_does_not_read_the_manifest_again: 306,
    a_version_is_named_by_its_content: 39,
    the_client_repeats_a_start: 0,
    the_owner_of_a_folder_is_not_compared: 0,
    a_cleanup_does_not_ask_whose_folder_it_is: 0,
    an_alert_is_noted_before_it_is_sent: 11,
    nobody_reads_who_was_told: 4,
    what_is_missing_counts_as_there: 5,
    a_retry_takes_a_query_of_fewer_partitions: 1046,
    a_triggerer_that_lost_a_wait_stops_its_query: 26,
    a_receipt_is_written_before_the_sending: 17,
    a_receipt_is_of_a_period: 20,
}
