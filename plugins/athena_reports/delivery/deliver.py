"""The task that delivers the current version of a period to one channel."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from airflow.configuration import conf
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, ConditionError, S3Error
from athena_reports.delivery.channels import Channel
from athena_reports.delivery.clears import note_try
from athena_reports.delivery.decision import Hold, Send, Skip, Try, decide, thread_of
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import Receipt, receipts_of
from athena_reports.delivery.sending import Sent, send
from athena_reports.delivery.version_reader import Links, VersionReader
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import period_of_delivery
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest
from athena_reports.queries.execution import console_url
from athena_reports.reports.report import Report
from athena_reports.rows.engine import open_engine
from athena_reports.settings import PAGE_PATH, Settings
from athena_reports.steps.airflow_errors import report_errors

_TIME_TO_SEND = timedelta(minutes=10)
_PAUSES_BEFORE_WRITING = (1.0, 10.0, 60.0)  # seconds, of a receipt that S3 has not taken


@dataclass(frozen=True)
class _Source:
    """What a task delivers, and where it is.

    Attributes:
        period: The period.
        location: Where it is published.
        s3: The client of the report bucket.
        about: The beginning of messages.
    """

    period: Period
    location: PeriodLocation
    s3: S3
    about: str


class DeliverOperator(AwsBaseOperator[SharedSessionHook]):
    """Delivers the current version of the run's period to one channel, once.

    It looks at what is published when it runs, and at the receipts of the channel. It is skipped if
    there is nothing to send. The receipt is written when the version was sent: a task that is
    killed between the two sends it again, with the same Message-ID.

    Args:
        report: The report.
        cadence: The periods that it is made for.
        channel: The channel.
        delivery_policy: When versions are delivered.
        deployment: The settings.
        kwargs: Arguments of AwsBaseOperator.
    """

    aws_hook_class = SharedSessionHook
    ui_color = "#b8d8f0"

    def __init__(
        self,
        *,
        report: Report,
        cadence: Cadence,
        channel: Channel,
        delivery_policy: DeliveryPolicy,
        deployment: Settings,
        **kwargs: Any,
    ) -> None:
        super().__init__(execution_timeout=_TIME_TO_SEND, **kwargs)
        self.report = report
        self.cadence = cadence
        self.channel = channel
        self.delivery_policy = delivery_policy
        self.deployment = deployment

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver, and return the receipt.

        Raises:
            AirflowSkipException: There is nothing to send.
            AirflowFailException: It cannot be sent, or somebody has to look at it before.
            AirflowException: A server has not served, or puts off some of the recipients.
        """
        with report_errors(f"{self.dag_id}: "):
            period = period_of_delivery(self.cadence, context["dag_run"])
        about = f"{self.dag_id}, period {period.id}, channel {self.channel.name}: "
        with report_errors(about):
            source = self._source(period, about)
            asking = self._try(source, context)
            manifest, _ = read_manifest(source.location, source.s3)
            if manifest is None:
                raise AirflowSkipException(f"{about}it is not published.")
            receipts = receipts_of(source.location, source.s3, channel=self.channel.name)
            send_decision = self._decide(manifest, receipts, asking, source)
            # Nothing is sent if it could not be noted.
            source.s3.try_upload(source.location.receipts_uri)
            thread = thread_of(self.channel, receipts, send_decision)
            sent = self._send(send_decision, manifest, source, thread, context)
            receipt = self._keep(sent, send_decision, manifest, asking, source)
        self.log.info("%ssent version %s", about, manifest.version)
        _tell_of_refused(receipt, about)
        return receipt.model_dump(mode="json")

    def _source(self, period: Period, about: str) -> _Source:
        deployment = self.deployment
        return _Source(
            period=period,
            location=PeriodLocation.of(deployment.report_bucket, self.report.name, period),
            s3=S3(self.hook.client("s3"), deployment.bucket_owner, deployment.encryption),
            about=about,
        )

    def _try(self, source: _Source, context: Context) -> Try:
        ti: Any = context["ti"]
        run_id = context["run_id"]
        clears = note_try(
            source.location,
            source.s3,
            channel=self.channel.name,
            run_id=run_id,
            try_number=ti.try_number,
            max_tries=ti.max_tries,
        )
        return Try(run_id=run_id, clears=clears)

    def _decide(
        self, manifest: Manifest, receipts: Sequence[Receipt], asking: Try, source: _Source
    ) -> Send:
        """Return how the version is to be sent; a task that is not to send it ends here."""
        decision = decide(self.channel.name, manifest, receipts, self.delivery_policy, asking)
        match decision:
            case Send():
                return decision
            case Skip():
                raise AirflowSkipException(f"{source.about}not sent: {decision.reason}.")
            case Hold():
                raise AirflowFailException(
                    f"{source.about}not sent: {decision.reason}. See the Reports page. If the"
                    " rows are right, clear this task to send them."
                )
            case _:
                assert_never(decision)

    def _send(
        self,
        decision: Send,
        manifest: Manifest,
        source: _Source,
        thread: str,
        context: Context,
    ) -> Sent:
        about = f"Report {self.report.name!r}, period {source.period.id}"
        with open_engine(self.deployment.memory_limit, about=about) as engine:
            reader = VersionReader(
                report=self.report,
                environment=self.deployment.environment,
                period=source.period,
                location=source.location,
                s3=source.s3,
                engine=engine,
            )
            links = Links(
                page=self._page_url(source.period), query=self._query_url(manifest.query.id)
            )
            return send(
                self.channel, manifest, decision, reader, links, thread=thread, context=context
            )

    def _page_url(self, period: Period) -> str:
        base_url = conf.get("api", "base_url", fallback="http://localhost:8080/").rstrip("/")
        return f"{base_url}{PAGE_PATH}/#{self.report.name}_{self.cadence.unit}/{period.id}"

    def _query_url(self, query_execution_id: str) -> str:
        """Return the query's address in Athena's console; empty where AWS has none."""
        domain = BaseAwsLink.get_aws_domain(self.hook.conn_partition)
        region = self.hook.conn_region_name
        if not region or not domain:
            return ""
        return console_url(query_execution_id, region, domain)

    def _keep(
        self, sent: Sent, decision: Send, manifest: Manifest, asking: Try, source: _Source
    ) -> Receipt:
        """Write the receipt of what was sent, and return it."""
        corrects = decision.corrects.version if decision.corrects is not None else ""
        receipt = Receipt(
            channel=self.channel.name,
            kind=self.channel.kind,
            version=manifest.version,
            number=decision.number,
            sent_at=datetime.now(UTC),
            recipients=sent.recipients,
            message_id=sent.message_id,
            corrects=corrects,
            run_id=asking.run_id,
            clears=asking.clears,
            refused=sent.refused,
        )
        replaced: str | None = None
        if decision.resumed is not None:
            uri = decision.resumed.uri(source.location)
            resumed, replaced = Receipt.read(uri, source.s3)
            receipt = resumed.model_copy(
                update={
                    "recipients": (*resumed.recipients, *sent.recipients),
                    "refused": _still_refused(resumed, sent),
                }
            )
        self._write(receipt, replaced, source)
        return receipt

    def _write(self, receipt: Receipt, replaced: str | None, source: _Source) -> None:
        """Write a receipt, in any case if S3 serves within some minutes: it is sent already."""
        for pause in (*_PAUSES_BEFORE_WRITING, None):
            try:
                receipt.write(source.location, source.s3, replacing=replaced)
            except ConditionError:
                # Either this write had been done and its answer was lost, or an earlier try that
                # was taken for dead has gone on, and has sent it too.
                self.log.warning("%sthere is a receipt already", source.about)
            except S3Error as error:
                if error.retryable and pause is not None:
                    time.sleep(pause)
                    continue
                raise DeliveryError(
                    f"it was sent, but its receipt was not written: {error} Do not clear the task"
                    " if it should not be sent again.",
                    retryable=False,
                ) from error
            return


def _still_refused(earlier: Receipt, sent: Sent) -> dict[str, str]:
    """Return who is refused after a sending to those that were put off."""
    refused = {
        address: answer
        for address, answer in earlier.refused.items()
        if address not in earlier.put_off
    }
    refused.update(sent.refused)
    return refused


def _tell_of_refused(receipt: Receipt, about: str) -> None:
    """Fail a task whose mail did not reach everybody. The next try sends only what was put off."""
    if not receipt.refused:
        return
    told = "; ".join(f"{address}: {answer}" for address, answer in receipt.refused.items())
    problem = f"{about}sent, but the SMTP server refuses {told}."
    if receipt.put_off:
        raise AirflowException(f"{problem} The next try sends it to those that are put off.")
    raise AirflowFailException(f"{problem} Correct the addresses in the report's file.")
