"""Which of the partitions that a period requires Athena can see.

Without the others a query would give fewer rows, and no error.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Literal

from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import PartitionValues, partition_name
from athena_reports.inputs.need import InputNeed
from athena_reports.inputs.registered import registered_folders
from athena_reports.inputs.source_table import SourceTable

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def find_in_table(
    needs: Sequence[InputNeed], *, now: datetime, glue: "GlueClient", s3: S3
) -> list[InputPartitions]:
    """Return what exists of each of some needs of one table, in their order.

    All needs have the same `lookup`. Glue is asked for the table once, and for up to 1,000
    partitions in a call. InputError as for `SourceTable.read`.
    """
    source = needs[0].source
    assert isinstance(source, Input)
    # Glue does not have the tables of another catalog under the name that Athena has for it.
    if source.catalog is not None:
        return [_whole_table(source, f"{source.database}.{source.table}", folder="")] * len(needs)
    table = SourceTable.read(source, needs[0].database, glue)
    if not source.is_partitioned:
        return [_whole_table(source, table.name, folder=table.location)] * len(needs)
    required_by_need = [
        need.source.required_partitions(need.period, need.late_by, now) for need in needs
    ]
    distinct = dict.fromkeys(chain.from_iterable(required_by_need))
    visible = _visible_folders(table, list(distinct), now, glue)
    unmarked = _without_marker(source, visible, s3)
    return [
        _partitions_of(table, need.source.missing, partitions, visible, unmarked)
        for need, partitions in zip(needs, required_by_need, strict=True)
    ]


def _whole_table(source: Input, name: str, *, folder: str) -> InputPartitions:
    coverage = InputCoverage(
        table=name,
        catalog=source.catalog,
        is_partitioned=False,
        missing=source.missing,
        needed=0,
    )
    folders = {"": folder} if folder else {}
    return InputPartitions(coverage, folders)


def has_success_marker(uri: str, s3: S3) -> bool:
    """Return whether a success marker exists; S3Error if S3 did not serve the call."""
    any_owner = replace(s3, owner="")  # the lake may belong to another account
    return any_owner.exists(uri)


def _visible_folders(
    table: SourceTable, required: Sequence[PartitionValues], now: datetime, glue: "GlueClient"
) -> Mapping[PartitionValues, Mapping[str, str]]:
    if table.projection is None:
        return registered_folders(table, required, glue)
    projected = {}
    for partition in required:
        values = table.selected_values(partition)
        if table.projection.reaches(values, now):
            keys = list(table.keys)
            projected[partition] = table.projection.folders(values, keys, table.location)
    return projected


def _without_marker(
    source: Input, partitions: Mapping[PartitionValues, object], s3: S3
) -> Set[PartitionValues]:
    if source.done is None:
        return set()
    unmarked = set()
    for partition in partitions:
        of_time = partition[: len(source.columns)]  # the values of `only` are not in the address
        if not has_success_marker(source.success_marker(of_time), s3):
            unmarked.add(partition)
    return unmarked


def _partitions_of(
    table: SourceTable,
    missing: Literal["fail", "partial"],
    required: Sequence[PartitionValues],
    visible: Mapping[PartitionValues, Mapping[str, str]],
    unmarked: Set[PartitionValues],
) -> InputPartitions:
    folders: dict[str, str] = {}
    present, absent, outside, not_done = [], [], [], []
    for partition in required:
        name = partition_name(table.selected_values(partition))
        if partition in visible:
            present.append(name)
            folders.update(visible[partition])
        elif table.projection is None:
            absent.append(name)
        else:
            outside.append(name)
        if partition in unmarked:
            not_done.append(name)
    coverage = InputCoverage(
        table=table.name,
        missing=missing,
        needed=len(required),
        present=tuple(present),
        absent=tuple(absent),
        outside=tuple(outside),
        not_done=tuple(not_done),
    )
    return InputPartitions(coverage, folders)
