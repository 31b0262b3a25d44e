"""A table that a report reads.

Its partition filter, the look for gaps and the estimate follow from one declaration.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, field
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn, Self

import pydantic
import pydantic_core
from pydantic import AfterValidator, BeforeValidator, model_validator

from athena_reports.errors import InputError
from athena_reports.inputs.declaration import CONFIG, mistake
from athena_reports.inputs.layout import Layout, Partition, PartitionKind
from athena_reports.periods.calendar import Period
from athena_reports.periods.zones import zone_of

_OPTIONS_OF_PARTITIONS = (
    "zone",
    "format",
    "kind",
    "only",
    "previous",
    "last_year",
    "missing",
    "wait",
    "done",
    "of",
)
_DATE = "{date}"
_DONE_OBJECT = re.compile(r"s3://[^/{}]+/[^{}]*\{date\}([^{}]*[^/{}])?")
_TABLE_BELOW = re.compile(r"[^.\s]+(\.[^.\s]+)?")

KeyValue = str | int


def _in_a_sequence(keys: object) -> object:
    if isinstance(keys, str):
        return (keys,)
    return keys


def _as_tuple(values: Any) -> Any:
    if isinstance(values, list):
        return tuple(values)
    return values


def _require_each_once(keys: Sequence[str]) -> tuple[str, ...]:
    if len(set(keys)) < len(keys):
        raise ValueError("name each partition key once")
    return tuple(keys)


def _require_zone(name: str) -> str:
    return zone_of(name).key


def _require_lists(only: Any) -> Any:
    if isinstance(only, Mapping):
        for key, values in only.items():
            if (
                not isinstance(values, list | tuple)
                or len(set(values)) != len(values)
                or not values
            ):
                raise ValueError(f"give the values of {key!r} in a list, each once: ['jp', 'us']")
    return only


def _unchangeable(only: Mapping[str, Sequence[KeyValue]]) -> Mapping[str, tuple[KeyValue, ...]]:
    return MappingProxyType({key: tuple(values) for key, values in only.items()})


def _require_table_below(table: str) -> str:
    if _TABLE_BELOW.fullmatch(table) is None:
        raise ValueError("give the table that the view reads, such as 'plays' or 'raw.plays'")
    return table


def _require_time(wait: timedelta) -> timedelta:
    if wait <= timedelta(0):
        raise ValueError("give more than zero, such as timedelta(hours=6)")
    return wait


def _require_done_object(address: str) -> str:
    if _DONE_OBJECT.fullmatch(address) is None:
        raise ValueError(
            f"give the S3 address of an object with {_DATE} once in its key and no other braces, "
            f"such as 's3://lake/plays/dt={_DATE}/_SUCCESS'"
        )
    return address


_Keys = Annotated[
    Sequence[str], BeforeValidator(_in_a_sequence), AfterValidator(_require_each_once)
]
_Zone = Annotated[str, AfterValidator(_require_zone)]
_Formats = Annotated[str | Sequence[str], AfterValidator(_as_tuple)]
_Kinds = Annotated[PartitionKind | Sequence[PartitionKind], AfterValidator(_as_tuple)]
_Only = Annotated[
    Mapping[str, Sequence[KeyValue]],
    BeforeValidator(_require_lists),
    AfterValidator(_unchangeable),
]
_TableBelow = Annotated[str, AfterValidator(_require_table_below)]
Wait = Annotated[timedelta, AfterValidator(_require_time)]
_DoneObject = Annotated[str, AfterValidator(_require_done_object)]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Input:
    """A table that a report reads; InputError if a field is wrong.

    Its partition keys say which hours, days, months or years a partition holds, or it has no
    partitions (`columns=()`). Without partitions a query reads all of it, and besides `table` and
    `columns` only `database` has a meaning.

    Attributes:
        table: Its name in Glue.
        columns: Its partition keys that tell time, the longest time first: one that holds a date,
            or two to four that hold year, month, day and hour; `()` for a table without partitions.
            Further keys of the table need not be named: a date is there if any value of them is.
        zone: IANA zone in which the partitions are dated.
        format: How each key writes its part of the time (`strftime`), such as `%Y/%m/%d/%H` for the
            hours of one key, or `("%Y-%m-%d", "%-H")` for a date and an hour. None only for keys
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
        done: With `wait`, the S3 address of an object that says that a partition is complete. A
            partition counts as missing without it. `{date}` stands for the partition's key as
            `format` writes it; with several keys for the time as YYYY-MM-DD or YYYY-MM-DD-HH. A
            table whose partitions are projected needs it, as Glue does not know them.
        of: If `table` is a view, the table that it reads, whose partitions have the same keys:
            `plays`, or `raw.plays` of another database.
        database: Glue database; None for the environment's.
    """

    table: str
    columns: _Keys = ("dt",)
    _: KW_ONLY
    zone: _Zone = "UTC"
    format: _Formats | None = None
    kind: _Kinds = "string"
    only: _Only = field(default_factory=dict, hash=False)
    previous: bool = False
    last_year: bool = False
    missing: Literal["fail", "partial"] = "fail"
    wait: Wait | None = None
    done: _DoneObject | None = None
    of: _TableBelow | None = None
    database: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, fields: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(fields)
        except pydantic.ValidationError as error:
            field, problem = mistake(error, cls.__annotations__)
            table = _table_of(fields)
            raise InputError(f"Input {table!r}, field {field!r}: {problem}") from None

    @model_validator(mode="after")
    def _refuse_options_of_partitions(self) -> Self:
        if self.is_partitioned:
            return self
        for name in _OPTIONS_OF_PARTITIONS:
            option = type(self).__dataclass_fields__[name]
            default = {} if name == "only" else option.default
            if getattr(self, name) != default:
                problem = "it has no meaning for a table without partitions (columns=())."
                self._refuse(name, f"{problem} Leave it out.")
        return self

    @model_validator(mode="after")
    def _require_layout(self) -> Self:
        if not self.is_partitioned:
            return self
        for key in self.only:
            if key in self.columns:
                self._refuse("only", f"{key!r} tells the time already. Leave it out here.")
        try:
            _ = self.layout
        except ValueError as error:
            name = "columns" if self.format is None else "format"
            problem = str(error).removesuffix(".")
            self._refuse(name, f"{problem}.")
        return self

    @model_validator(mode="after")
    def _require_wait(self) -> Self:
        if self.done is not None and self.wait is None:
            problem = "it is looked for only by a run that waits."
            self._refuse("done", f"{problem} Give wait=timedelta(hours=6) too, or leave it out.")
        return self

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

    def done_object(self, partition: Partition) -> str:
        """Return the address of the object that says that a partition is complete.

        Args:
            partition: The values of its keys, as `Layout.partition` gives them.

        Raises:
            ValueError: The input declares no `done`.
        """
        if self.done is None:
            raise ValueError(f"{self.table} has no done objects")
        date = "-".join(value.zfill(2) for value in partition)  # of several keys, as YYYY-MM-DD
        return self.done.replace(_DATE, date)

    def _refuse(self, name: str, problem: str) -> NoReturn:
        raise InputError(f"Input {self.table!r}, field {name!r}: {problem}")


def _table_of(arguments: pydantic_core.ArgsKwargs) -> object:
    """Return the table that a call of `Input` names; None if it names none."""
    if arguments.args:
        return arguments.args[0]
    if arguments.kwargs:
        return arguments.kwargs.get("table")
    return None
