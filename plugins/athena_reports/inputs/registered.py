"""The partitions of a table that Glue has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from athena_reports.errors import InputError
from athena_reports.inputs.layout import PartitionValues, partition_name
from athena_reports.inputs.predicate import partitions_predicate
from athena_reports.inputs.source_table import SourceTable
from athena_reports.sql.names import sql_name

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_KEYS_PER_CALL = 1000  # BatchGetPartition takes no more
_CALLS_AT_ONCE = 4  # of one look
_LONGEST_EXPRESSION = 2048  # characters that GetPartitions takes


def registered_folders(
    table: SourceTable, required: Sequence[PartitionValues], glue: "GlueClient"
) -> dict[PartitionValues, Mapping[str, str]]:
    """Return the `s3://` folders of those of some partitions that Glue has.

    They are by name, such as `dt=2025-06-29/region=jp`; several if the table has free keys.
    """
    find = _list_partitions if table.has_free_keys else _look_up
    folders = _folders(table, find(table, required, glue))
    return {partition: folders[partition] for partition in required if partition in folders}


def stored_partitions(
    database: str, table: str, values_of_partitions: Sequence[Sequence[str]], glue: "GlueClient"
) -> Iterator[Mapping[str, Any]]:
    """Yield those of some partitions that Glue has, each given by the values of all its keys.

    InputError, `retryable`, if Glue leaves all partitions unprocessed.
    """
    get = partial(_get_batch, database, table, glue)
    batches = [
        values_of_partitions[start : start + _KEYS_PER_CALL]
        for start in range(0, len(values_of_partitions), _KEYS_PER_CALL)
    ]
    for first_batch in batches[:1]:  # most periods need one call, and no thread
        yield from get(first_batch)
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as threads:
        for partitions in threads.map(get, batches[1:]):
            yield from partitions


def _get_batch(
    database: str, table: str, glue: "GlueClient", values_of_partitions: Sequence[Sequence[str]]
) -> list[Mapping[str, Any]]:
    partitions: list[Mapping[str, Any]] = []
    unprocessed: Any = [{"Values": values} for values in values_of_partitions]
    while unprocessed:
        response = glue.batch_get_partition(
            DatabaseName=database, TableName=table, PartitionsToGet=unprocessed
        )
        partitions += response.get("Partitions", [])
        left_over = response.get("UnprocessedKeys", [])
        if len(left_over) >= len(unprocessed):  # repeating the call could go on without end
            raise InputError(
                f"{database}.{table}: Glue returned {len(left_over)} partitions as unprocessed. Try"
                " again later, or check the AWS Health Dashboard.",
                retryable=True,
            )
        unprocessed = left_over
    return partitions


def _look_up(
    table: SourceTable, required: Sequence[PartitionValues], glue: "GlueClient"
) -> Iterator[Mapping[str, Any]]:
    # Glue may have the month 6 with a zero before it: then it is asked for both.
    with_zeros = [_with_zeros(table, partition) for partition in required]
    values_of_partitions = []
    for partition in dict.fromkeys([*required, *with_zeros]):
        values = table.selected_values(partition)
        values_of_partitions.append([values[key] for key in table.keys])
    return stored_partitions(table.database, table.table, values_of_partitions, glue)


def _list_partitions(
    table: SourceTable, required: Sequence[PartitionValues], glue: "GlueClient"
) -> Iterator[Mapping[str, Any]]:
    # It may yield other partitions too. Without a partition index, Glue loads all partitions of the
    # table for each call.
    keys = table.source.columns
    of_time = dict.fromkeys(partition[: len(keys)] for partition in required)
    expressions: Iterable[str] = _expressions(table, list(of_time))
    if any(sql_name(key) != key for key in keys):
        expressions = [""]  # all partitions: how an expression quotes a name is not documented
    pages = glue.get_paginator("get_partitions")
    for expression in expressions:
        for page in pages.paginate(
            DatabaseName=table.database,
            TableName=table.table,
            Expression=expression,
            ExcludeColumnSchema=True,
        ):
            yield from page.get("Partitions", [])


def _expressions(table: SourceTable, partitions: Sequence[PartitionValues]) -> Iterator[str]:
    if not partitions:
        return
    source = table.source
    expression = partitions_predicate(
        source.layout, partitions, source.columns, dates_are_texts=True
    )
    if len(expression) <= _LONGEST_EXPRESSION:
        yield expression
        return
    half = len(partitions) // 2
    yield from _expressions(table, partitions[:half])
    yield from _expressions(table, partitions[half:])


def _folders(
    table: SourceTable, stored_partitions: Iterable[Mapping[str, Any]]
) -> Mapping[PartitionValues, Mapping[str, str]]:
    folders: dict[PartitionValues, dict[str, str]] = {}
    for stored in stored_partitions:
        free_values = dict(zip(table.keys, stored["Values"], strict=True))
        selected_values = {}
        for key, kind in zip(table.selected_keys, table.kinds, strict=True):
            value = free_values.pop(key)
            if kind == "integer":
                value = value.lstrip("0") or "0"
            selected_values[key] = value
        partition = tuple(selected_values.values())
        name = partition_name({**selected_values, **free_values})
        folder = stored.get("StorageDescriptor", {}).get("Location", "")
        folders.setdefault(partition, {})[name] = folder
    return folders


def _with_zeros(table: SourceTable, partition: PartitionValues) -> PartitionValues:
    typed_values = zip(partition, table.kinds, strict=True)
    return tuple(value.zfill(2) if kind == "integer" else value for value, kind in typed_values)
