"""A topic of SNS in the local services, and the queue of SQS that its messages arrive at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3

from athena_reports_cli.local.services import Services


@dataclass(frozen=True)
class Inbox:
    """What was published to a topic."""

    sqs: Any
    queue: str  # its URL

    @classmethod
    def create(cls, services: Services, name: str) -> Inbox:
        session: Any = boto3.Session("inbox", "secret", region_name="us-east-1")
        sns, sqs = (
            session.client(service, endpoint_url=services.endpoint_url)
            for service in ("sns", "sqs")
        )
        topic = sns.create_topic(Name=name)["TopicArn"]
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])[
            "Attributes"
        ]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
        return cls(sqs, queue)

    def take(self) -> list[tuple[str, str]]:
        """Take out what has arrived: subjects and messages."""
        taken = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for each in found:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
                body = json.loads(each["Body"])
                taken.append((body["Subject"], body["Message"]))
        return taken
