"""The partitions of a table that Glue has."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from athena_reports.errors import InputError
from athena_reports.inputs.layout import Partition
from athena_reports.inputs.partition_format import sorts_in_time
from athena_reports.inputs.predicate import value_literal
from athena_reports.inputs.source_table import SourceTable
from athena_reports.sql.names import sql_name

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_KEYS_PER_CALL = 1000  # BatchGetPartition takes no more
_CALLS_AT_ONCE = 4  # of one look
_LONGEST_EXPRESSION = 2048  # characters that GetPartitions takes
_INTEGER = re.compile(r"-?[0-9]+")  # a partition without a value is __HIVE_DEFAULT_PARTITION__


def registered_folders(
    table: SourceTable, wanted: Sequence[Partition], glue: "GlueClient"
) -> dict[Partition, dict[str, str]]:
    """Return the `s3://` folders of those of some partitions that Glue has.

    They are by the name of the partition, such as `dt=2025-06-29/region=jp`: there are several if
    the table has keys of which the input says nothing.

    Args:
        table: The table.
        wanted: The values of its `selected_keys`, for each partition.
        glue: The client that knows the table.

    Raises:
        InputError: `retryable`, Glue left all partitions unprocessed that it was asked for.
    """
    if table.has_free_keys:
        return _by_any_value_of_free_keys(table, wanted, glue)
    batches = [
        wanted[start : start + _KEYS_PER_CALL] for start in range(0, len(wanted), _KEYS_PER_CALL)
    ]
    if not batches:
        return {}
    first = _in_both_forms(table, batches[0], glue, zeros_first=False)
    folders = dict(first.folders)
    # The other batches are asked for in the form that the first one has told.
    look = partial(_in_both_forms, table, glue=glue, zeros_first=first.has_zeros)
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as threads:
        for found in threads.map(look, batches[1:]):
            folders.update(found.folders)
    return folders


class _Found(NamedTuple):
    """The folders of what Glue has of some partitions, and how it writes their integers."""

    folders: Mapping[Partition, dict[str, str]]
    has_zeros: bool


def _in_both_forms(
    table: SourceTable, batch: Sequence[Partition], glue: "GlueClient", *, zeros_first: bool
) -> _Found:
    """Look for as many partitions as one call may ask for.

    Glue may have a month or a day with a zero before it, or without.
    """
    found = _by_all_values(table, batch, glue, zeros=zeros_first)
    not_found = [partition for partition in batch if partition not in found]
    others = [partition for partition in not_found if _with_zeros(table, partition) != partition]
    found_otherwise = _by_all_values(table, others, glue, zeros=not zeros_first)
    is_otherwise = len(found_otherwise) > len(found)
    return _Found({**found, **found_otherwise}, has_zeros=zeros_first != is_otherwise)


def stored_partitions(
    database: str, table: str, values_of_partitions: Sequence[Sequence[str]], glue: "GlueClient"
) -> Iterator[Mapping[str, Any]]:
    """Yield those of some partitions that Glue has, as it has them.

    Args:
        database: The database of the table.
        table: The table.
        values_of_partitions: The values of all keys, in Glue's order, for each partition.
        glue: The client that knows the table.

    Raises:
        InputError: `retryable`, Glue left all partitions unprocessed that it was asked for. To ask
            again at once could go on without end.
    """
    for start in range(0, len(values_of_partitions), _KEYS_PER_CALL):
        unprocessed: Any = []
        for values in values_of_partitions[start : start + _KEYS_PER_CALL]:
            unprocessed.append({"Values": values})
        while unprocessed:
            response = glue.batch_get_partition(
                DatabaseName=database, TableName=table, PartitionsToGet=unprocessed
            )
            yield from response.get("Partitions", [])
            left_over = response.get("UnprocessedKeys", [])
            if len(left_over) >= len(unprocessed):
                problem = (
                    f"Glue has not looked up {len(left_over)} partitions of {database}.{table}"
                )
                raise InputError(
                    f"{problem}: it returned all of them as unprocessed. Try again later, or see "
                    "the AWS health dashboard.",
                    retryable=True,
                )
            unprocessed = left_over


def some_partition(table: SourceTable, glue: "GlueClient") -> Mapping[str, str] | None:
    """Return the values of any partition of a table, by key; None if Glue has none."""
    response = glue.get_partitions(
        DatabaseName=table.database, TableName=table.table, MaxResults=1, ExcludeColumnSchema=True
    )
    for stored in response.get("Partitions", []):
        return _values_of(table, stored)
    return None


def _by_all_values(
    table: SourceTable, wanted: Sequence[Partition], glue: "GlueClient", *, zeros: bool
) -> dict[Partition, dict[str, str]]:
    """Return the folders of those that Glue has of as many partitions as one call may ask for.

    Args:
        table: The table.
        wanted: The partitions.
        glue: The client that knows the table.
        zeros: Whether integers of one digit are asked for with a zero before them.
    """
    folders: dict[Partition, dict[str, str]] = {}
    written = wanted
    if zeros:
        written = [_with_zeros(table, partition) for partition in wanted]
    values_of_partitions = []
    for partition in written:
        values = dict(zip(table.selected_keys, partition, strict=True))
        values_of_partitions.append([values[key] for key in table.keys])
    for stored in stored_partitions(table.database, table.table, values_of_partitions, glue):
        _add(table, stored, folders)
    return folders


def _by_any_value_of_free_keys(
    table: SourceTable, wanted: Sequence[Partition], glue: "GlueClient"
) -> dict[Partition, dict[str, str]]:
    folders: dict[Partition, dict[str, str]] = {}
    pages = glue.get_paginator("get_partitions")
    for expression in _expressions(table, wanted):
        for page in pages.paginate(
            DatabaseName=table.database,
            TableName=table.table,
            Expression=expression,
            ExcludeColumnSchema=True,
        ):
            for stored in page.get("Partitions", []):
                _add(table, stored, folders)
    return {partition: folders[partition] for partition in wanted if partition in folders}


def _add(
    table: SourceTable, stored: Mapping[str, Any], folders: dict[Partition, dict[str, str]]
) -> None:
    """Add the folder of a partition as Glue has it."""
    values = _values_of(table, stored)
    partition = []
    for key, kind in zip(table.selected_keys, table.kinds, strict=True):
        if kind == "integer" and _INTEGER.fullmatch(values[key]):
            values[key] = str(int(values[key]))  # as it is wanted: without a zero before it
        partition.append(values[key])
    free_keys = [key for key in table.keys if key not in table.selected_keys]
    name = "/".join(f"{key}={values[key]}" for key in [*table.selected_keys, *free_keys])
    folder = stored.get("StorageDescriptor", {}).get("Location", "")
    folders.setdefault(tuple(partition), {})[name] = folder


def _values_of(table: SourceTable, stored: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a partition as Glue has it, by key."""
    values = stored["Values"]
    if len(values) != len(table.keys):  # the keys of a table can be changed after its partitions
        raise InputError(
            f"The partition {'/'.join(values)} of {table.name} has {len(values)} values, and the"
            f" table has {len(table.keys)} keys: {', '.join(table.keys)}. Correct the table."
        )
    return dict(zip(table.keys, values, strict=True))


def _with_zeros(table: SourceTable, partition: Partition) -> Partition:
    values = []
    for value, kind in zip(partition, table.kinds, strict=True):
        values.append(value.zfill(2) if kind == "integer" else value)
    return tuple(values)


def _expressions(table: SourceTable, wanted: Sequence[Partition]) -> list[str]:
    """Return what GetPartitions takes as its filter, to list some partitions among others.

    It is one range if the keys of time sort in time. Otherwise the partitions are named one by one,
    in as many expressions as it takes.
    """
    if not wanted:
        return []
    keys = table.selected_keys
    if any(sql_name(key) != key for key in keys):
        return [""]  # all partitions: how an expression quotes a name is not documented
    time_keys = table.source.layout.keys
    if len(time_keys) == 1 and sorts_in_time(
        time_keys[0].format, as_integers=time_keys[0].kind == "integer"
    ):
        key, kind = keys[0], table.kinds[0]
        # In any order: the periods of several needs need not follow each other.
        times = [partition[0] for partition in wanted]
        in_order = sorted(times, key=int) if kind == "integer" else sorted(times)
        first, last = _value(in_order[0], kind), _value(in_order[-1], kind)
        return [f"{key} >= {first} AND {key} <= {last}"]
    expressions = [""]
    for partition in wanted:
        terms = []
        for key, kind, value in zip(keys, table.kinds, partition, strict=True):
            terms.append(f"{key} = {_value(value, kind)}")
        condition = f"({' AND '.join(terms)})"
        longer = f"{expressions[-1]} OR {condition}" if expressions[-1] else condition
        if len(longer) <= _LONGEST_EXPRESSION:
            expressions[-1] = longer
        else:
            expressions.append(condition)
    return expressions


def _value(text: str, kind: str) -> str:
    """Return a value as an expression of GetPartitions has it: a date is a text there."""
    return value_literal(text, "integer" if kind == "integer" else "string")
