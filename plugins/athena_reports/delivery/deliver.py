"""The task that delivers the current version of a period to one channel."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow.configuration import conf
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import Context
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_chain, wait_fixed

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.delivery.channels import Channel
from athena_reports.delivery.clears import note_try
from athena_reports.delivery.decision import TIME_TO_SEND, Attempt, Send, Skip, decide, thread_of
from athena_reports.delivery.errors import DeliveryError, refusals_text
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import History, Receipt, claim, history_of
from athena_reports.delivery.sending import Sent, send
from athena_reports.delivery.version_reader import VersionReader
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


class _Published(NamedTuple):
    """What a task delivers, and where it is."""

    period: Period
    location: PeriodLocation
    s3: S3
    manifest: Manifest


class DeliverOperator(AwsBaseOperator[SharedSessionHook]):
    """Delivers the current version of the run's period to one channel.

    `delivery/decision.py` has when, and how often. The task is skipped if there is nothing to send.
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
        super().__init__(execution_timeout=TIME_TO_SEND, **kwargs)
        self.report = report
        self.cadence = cadence
        self.channel = channel
        self.delivery_policy = delivery_policy
        self.deployment = deployment

    def execute(self, context: Context) -> dict[str, Any]:
        """Deliver, and return the receipt.

        Raises:
            AirflowSkipException: There is nothing to send.
            AirflowFailException: It cannot be sent, or a person has to look at it first.
            AirflowException: A server refuses it temporarily, or another attempt may be sending it.
        """
        with report_errors(f"{self.dag_id}: "):
            period = period_of_delivery(self.cadence, context["dag_run"])
        about = f"{self.dag_id}, period {period.id}, channel {self.channel.name}: "
        with report_errors(about):
            location = PeriodLocation.of(self.deployment.report_bucket, self.report.name, period)
            s3 = self._s3()
            attempt = self._attempt(location, s3, context)  # before anything can end this try
            manifest, _ = read_manifest(location, s3)
            if manifest is None:
                raise AirflowSkipException(f"{about}the period is not published.")
            published = _Published(period, location, s3, manifest)
            history = history_of(location, s3, self.channel.name)
            decision = decide(self.channel.name, manifest, history, self.delivery_policy, attempt)
            if isinstance(decision, Skip):
                raise AirflowSkipException(f"{about}not sent: {decision.reason}.")
            sent = self._claim_and_send(decision, published, history, context)
            receipt = self._receipt(sent, decision, manifest, attempt)
            try:
                _write(receipt, published)
            except S3Error as error:
                raise DeliveryError(
                    f"sent, but could not write the receipt: {error} The channel may receive the"
                    " version again."
                ) from error
            self.log.info("%ssent version %s", about, manifest.version)
            _require_all_reached(receipt)
        return receipt.model_dump(mode="json")

    def _s3(self) -> S3:
        deployment = self.deployment
        return S3(self.hook.client("s3"), deployment.bucket_owner, deployment.encryption)

    def _attempt(self, location: PeriodLocation, s3: S3, context: Context) -> Attempt:
        ti: Any = context["ti"]
        run_id = context["run_id"]
        clears = note_try(
            location,
            s3,
            channel=self.channel.name,
            run_id=run_id,
            try_number=ti.try_number,
            max_tries=ti.max_tries,
        )
        return Attempt(run_id=run_id, clears=clears, now=datetime.now(UTC))

    def _claim_and_send(
        self, message: Send, published: _Published, history: History, context: Context
    ) -> Sent:
        claim_uri = claim(
            published.location,
            published.s3,
            version=published.manifest.version,
            channel=self.channel.name,
            number=message.number,
            replacing=message.replaces.etag if message.replaces is not None else None,
        )
        thread = thread_of(self.channel, history.receipts, message)
        try:
            return self._send(message, published, thread, context)
        except Exception:
            # Nobody else has replaced the claim: Airflow ends this process before the claim
            # expires, by a BaseException that this clause does not catch. One that was frozen for
            # longer may send twice anyway, so the ETag need not be compared.
            with suppress(S3Error):  # then the claim expires
                published.s3.delete([claim_uri])
            raise

    def _send(self, message: Send, published: _Published, thread: str, context: Context) -> Sent:
        period, location, s3, manifest = published
        about = f"Report {self.report.name!r}, period {period.id}"
        with open_engine(self.deployment.memory_limit, about=about) as engine:
            reader = VersionReader(
                report=self.report,
                period=period,
                location=location,
                s3=s3,
                engine=engine,
                page_url=self._page_url(period),
                query_url=self._query_url(manifest.query.id),
            )
            return send(self.channel, manifest, message, reader, thread=thread, context=context)

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

    def _receipt(self, sent: Sent, message: Send, manifest: Manifest, attempt: Attempt) -> Receipt:
        earlier = message.resumed.refused_permanently if message.resumed is not None else {}
        return Receipt(
            channel=self.channel.name,
            kind=self.channel.kind,
            version=manifest.version,
            number=message.number,
            sent_at=datetime.now(UTC),
            recipients=tuple(sent.recipients),
            message_id=sent.message_id,
            corrects=message.corrects.version if message.corrects is not None else "",
            run_id=attempt.run_id,
            clears=attempt.clears,
            refused={**earlier, **sent.refused},
        )


@retry(
    retry=retry_if_exception(lambda error: isinstance(error, S3Error) and error.retryable),
    stop=stop_after_attempt(4),
    wait=wait_chain(wait_fixed(1), wait_fixed(10), wait_fixed(60)),
    reraise=True,
)
def _write(receipt: Receipt, published: _Published) -> None:
    receipt.write(published.location, published.s3)


def _require_all_reached(receipt: Receipt) -> None:
    """Raise DeliveryError if recipients were refused. It is retryable if some may get it later."""
    if not receipt.refused:
        return
    problem = f"sent, but the SMTP server refused {refusals_text(receipt.refused)}."
    temporarily = ", ".join(receipt.refused_temporarily)
    if temporarily:
        raise DeliveryError(f"{problem} Will retry for {temporarily}.", retryable=True)
    raise DeliveryError(f"{problem} Correct the addresses in the report's file.")
