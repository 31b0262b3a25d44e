"""What Glue says of published periods, also for tests that need no Glue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import (
    PartitionFacts,
    PublishedPeriod,
    QueryFacts,
    RunFacts,
)

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def periods_from(period: Period, number: int) -> list[Period]:
    return list(accumulate(range(number - 1), lambda each, _: each.next, initial=period))


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def an_hour_before(instant: str) -> str:
    return text(datetime.fromisoformat(instant) - timedelta(hours=1))


def facts(period: Period, /, **changes: Any) -> PartitionFacts:
    """What the partition of a period says, published an hour after the period.

    Changes are those of its fields, and of the fields of its query.
    """
    at = text(period.end_utc + timedelta(hours=1))
    query = {"id": "q-1", "submitted_at": at}
    for name in QueryFacts.model_fields.keys() & changes.keys():
        query[name] = changes.pop(name)
    usual: dict[str, Any] = {
        "report": "plays",
        "environment": "dev",
        "period": PublishedPeriod.of(period),
        "settles_at": at,
        "provisional": False,
        "partial": False,
        "published_at": at,
        "query": query,
        "run": RunFacts(dag_id="plays_weekly", run_id="run-1"),
        "version": "v1",
        "rows": 1,
        "bytes": 0,
        "checks_warned": 0,
        "readings": (),
        "objects": (),
        "earlier_versions": (),
        "ledger": {},
    }
    return PartitionFacts.model_validate(usual | changes)


def alter_partition(
    glue: GlueClient, database: str, table: str, period_id: str, **changes: Any
) -> None:
    """Let the partition of a period have other facts, and other fields of its query."""
    where: Any = {"DatabaseName": database, "TableName": table}
    partition = glue.get_partition(**where, PartitionValues=[period_id])["Partition"]
    changed: Any = {
        "Values": [period_id],
        "StorageDescriptor": partition["StorageDescriptor"],
        "Parameters": _changed_facts(partition["Parameters"], **changes),
    }
    glue.update_partition(**where, PartitionValueList=[period_id], PartitionInput=changed)


def _changed_facts(parameters: Mapping[str, str], **changes: Any) -> dict[str, str]:
    """Return the parameters of a partition with other facts, and other fields of its query."""
    facts = PartitionFacts.from_parameters(parameters)
    assert facts is not None
    query = {name: changes.pop(name) for name in QueryFacts.model_fields.keys() & changes.keys()}
    changes["query"] = facts.query.model_copy(update=query)
    return facts.model_copy(update=changes).as_parameters()
