"""A table that a report reads: one declaration for its filter, its gaps and the estimate."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, field, fields
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, model_validator

from athena_reports.declaration import CONFIG, Declaration
from athena_reports.inputs.layout import Layout, PartitionKind, PartitionValues
from athena_reports.inputs.predicate import only_predicate, partitions_predicate
from athena_reports.periods.calendar import Period
from athena_reports.periods.zones import zone_of
from athena_reports.sql.names import sql_name

# The other fields say which partitions are read.
_OF_A_TABLE = ("table", "columns", "database", "catalog")
_DATE = "{date}"
_durations = TypeAdapter(timedelta)
_INSTANT = timedelta(microseconds=1)  # the least difference of two datetimes


def _one_as_several(keys: Any) -> Any:
    return (keys,) if isinstance(keys, str) else keys


def _read_wait(wait: Any) -> Any:
    """Read the wire form of a need, in which it is a text."""
    return _durations.validate_python(wait) if isinstance(wait, str) else wait


def _as_tuple(values: Any) -> Any:
    return tuple(values) if isinstance(values, list) else values


def _require_zone(name: str) -> str:
    return zone_of(name).key


def _require_marker(address: str) -> str:
    has_one_date = _DATE in address and address.count("{") == 1
    if not address.startswith("s3://") or not has_one_date:
        example = f"'s3://lake/plays/dt={_DATE}/_SUCCESS'"
        raise ValueError(
            f"expected the S3 address of a success marker with {_DATE}, such as {example}"
        )
    return address


_Keys = Annotated[Sequence[str], BeforeValidator(_one_as_several), AfterValidator(tuple)]
_Formats = Annotated[str | Sequence[str], AfterValidator(_as_tuple)]
_Kinds = Annotated[PartitionKind | Sequence[PartitionKind], AfterValidator(_as_tuple)]
_Values = Annotated[Sequence[str | int], Field(min_length=1), AfterValidator(tuple)]
Wait = Annotated[timedelta, BeforeValidator(_read_wait), Field(gt=timedelta(0))]
_Table = Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)?$")]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Input(Declaration):
    """A table that a report reads.

    Its partition keys say which hours, days, months or years a partition holds, or it has no
    partitions (`columns=()`), such as an Iceberg table, whose partitions Glue does not have. Then a
    query reads all that its own conditions leave, and besides `table` and `columns` only `database`
    and `catalog` have a meaning.

    Attributes:
        table: Its name in Glue.
        columns: Its partition keys that tell time, the longest time first: one that holds a date,
            or two to four that hold year, month, day and hour; `()` for a table without partitions.
            Further keys of the table need not be named: a date is there if any value of them is.
        zone: IANA zone in which the partitions are dated.
        format: How each key writes its part of the time, such as `%Y/%m/%d/%H` for the hours of one
            key, or `("%Y-%m-%d", "%-H")` for a date and an hour. The directives are `%Y`, `%m`,
            `%d` and `%H`, and `%-m`, `%-d` and `%-H` without leading zeros. None only for keys
            named after what they hold: `dt`, `date` or `day` (`%Y-%m-%d`; `%Y%m%d` of an integer),
            alone or with `hour` (`%H`), and `year`, `month`, `day`, `hour` (`%Y`, `%m`, `%d`,
            `%H`).
        kind: Type of the keys, or of each key: `string`, `date` or `integer`.
        only: Values of further keys that the report reads, such as `{"region": ["jp", "us"]}`. A
            date is there if each of them is.
        previous: Whether the SQL reads the previous period too.
        last_year: Whether the SQL reads `period.last_year` too.
        missing: If a partition is missing: `fail` before the query is paid, or publish and mark as
            `partial`.
        wait: How long after the end of the period a run waits for its partitions, before `missing`
            decides; None to query at once.
        done: With `wait`, the S3 address of a success marker: an object that says that a partition
            is complete. A partition counts as missing without it. `{date}` stands for the
            partition's key as `format` writes it; with several keys for the time as YYYY-MM-DD or
            YYYY-MM-DD-HH. A table whose partitions are projected needs it, as Glue does not know
            them.
        of: If `table` is a view, the table that it reads, whose partitions have the same keys:
            `plays`, or `raw.plays` of another database.
        database: Glue database; None for the environment's.
        catalog: Athena's catalog of the table, such as `s3tablescatalog/my-bucket` for S3 Tables;
            None for `AwsDataCatalog`. It needs `database` and `columns=()`, as its partitions are
            not in this account's Glue.
    """

    table: str
    columns: _Keys = ("dt",)
    _: KW_ONLY
    zone: Annotated[str, AfterValidator(_require_zone)] = "UTC"
    format: _Formats | None = None
    kind: _Kinds = "string"
    only: Mapping[str, _Values] = field(default_factory=dict, hash=False)
    previous: bool = False
    last_year: bool = False
    missing: Literal["fail", "partial"] = "fail"
    wait: Wait | None = None
    done: Annotated[str, AfterValidator(_require_marker)] | None = None
    of: _Table | None = None
    database: str | None = None
    catalog: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _require_layout(self) -> Self:
        if self.catalog is not None and (self.is_partitioned or self.database is None):
            self.refuse("catalog", "a table in another catalog requires database= and columns=().")
        if not self.is_partitioned:
            for option in fields(self):
                is_given = getattr(self, option.name) not in (option.default, {})
                if is_given and option.name not in _OF_A_TABLE:
                    problem = (
                        "requires partitions in Glue, but columns=() declares none. Remove"
                        f" {option.name}=, or remove columns=() if the table has partition keys."
                    )
                    self.refuse(option.name, problem)
            return self
        for key in self.only:
            if key in self.columns:
                self.refuse("only", f"{key!r} is already in columns=. Remove it from only=.")
        try:
            _ = self.layout
        except ValueError as error:
            self.refuse("columns" if self.format is None else "format", f"{error}.")
        if self.done is not None and self.wait is None:
            self.refuse(
                "done", "has no effect without wait=. Add it, such as wait=timedelta(hours=6)."
            )
        return self

    @property
    def dag_id(self) -> str:
        """The DAG that publishes the table: none."""
        return ""

    @property
    def is_partitioned(self) -> bool:
        """Whether the table has partitions."""
        return len(self.columns) > 0

    @cached_property
    def layout(self) -> Layout:
        """How its partitions tell time; the table has partitions."""
        return Layout.of(self.columns, formats=self.format, kinds=self.kind, zone=self.zone)

    def periods_read(self, period: Period) -> list[Period]:
        """Return the periods whose events a report of a period reads, the earliest first."""
        periods = [period]
        if self.previous:
            periods.insert(0, period.previous)
        if self.last_year:
            periods.insert(0, period.last_year)
        return list(dict.fromkeys(periods))  # of a year, the year before is both

    def required_partitions(
        self, period: Period, late_by: timedelta, now: datetime
    ) -> list[PartitionValues]:
        """Return the partitions that have to exist: the values of their keys, and of `only`.

        Partitions that only late events fill are required from `late_by` after the end of the
        period on. No partition that begins after `now`, in the zone of the input, is required.
        """
        partitions_of_time: list[PartitionValues] = []
        for read in self.periods_read(period):
            end = read.end_utc
            if end + late_by <= now:
                end += late_by
            not_in_future = min(end, now + _INSTANT)
            partitions_of_time += self.layout.partitions(read.start_utc, not_in_future)
        values_of_only = [map(str, values) for values in self.only.values()]
        combinations = list(product(*values_of_only))
        distinct = dict.fromkeys(partitions_of_time)  # two periods may share a partition
        return [(*partition, *values) for partition in distinct for values in combinations]

    def predicate(self, period: Period, late_by: timedelta, alias: str | None = None) -> str:
        """Return the predicate on exactly the partitions that a period needs.

        `alias` is what the query calls the table.
        """
        names = _names(self.columns, alias)
        predicates = []
        for read in self.periods_read(period):
            partitions = self.layout.partitions(read.start_utc, read.end_utc + late_by)
            predicates.append(partitions_predicate(self.layout, partitions, names))
        predicate = " OR ".join(predicates)
        if len(predicates) > 1:
            predicate = f"({predicate})"
        if not self.only:
            return predicate
        further_keys = only_predicate(self.only, _names(self.only, alias))
        return f"({predicate} AND {further_keys})"

    def success_marker(self, partition: PartitionValues) -> str:
        """Return the address of the object that marks a partition as complete; `done` is given."""
        assert self.done is not None
        date = "-".join(value.zfill(2) for value in partition)  # of several keys, as YYYY-MM-DD
        return self.done.replace(_DATE, date)

    def lookup(self, period: Period) -> Hashable:
        """Return what tells one look at the account from another: the same for any period."""
        keys = (self.columns, self.format, self.kind, tuple(self.only.items()))
        return self.table, self.of, keys, self.done


def _names(keys: Iterable[str], alias: str | None) -> list[str]:
    prefix = "" if alias is None else f"{alias}."
    return [f"{prefix}{sql_name(key)}" for key in keys]
