"""A table that a report reads.

Its partition filter, the look for gaps and the estimate follow from one declaration.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_core
from pydantic import AfterValidator, BeforeValidator, model_validator

from athena_reports.errors import InputError
from athena_reports.periods.partition_format import require_dates
from athena_reports.periods.sql_period import PartitionKind
from athena_reports.periods.zones import zone_of

_OPTIONS_OF_PARTITIONS = ("zone", "format", "kind", "previous", "missing", "wait", "done")
_DATE = "{date}"
_DONE_OBJECT = re.compile(r"s3://[^/{}]+/[^{}]*\{date\}([^{}]*[^/{}])?")

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid")


def mistake(error: pydantic.ValidationError, fields: Mapping[str, object]) -> tuple[str, str]:
    """Return the field that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    field, *inside = first["loc"]
    if isinstance(field, int) and first["type"] != "unexpected_positional_argument":
        field = list(fields)[field]  # it was given by its place
    if first["type"] == "missing":
        return str(field), "it is missing."
    if field not in fields:
        nearest = get_close_matches(str(field), fields, n=1, cutoff=0)[0]
        return str(field), f"there is no such field. Did you mean {nearest}?"
    name = str(field)
    if field in ("params", "columns") and inside:
        name = f"{field}[{inside[0]!r}]"
    problem = first["msg"].removeprefix("Value error, ")
    return name, f"{first['input']!r} is not valid: {problem}"


def _in_a_sequence(keys: object) -> object:
    if isinstance(keys, str):
        return (keys,)
    return keys


def _require_none_one_or_three(keys: Sequence[str]) -> tuple[str, ...]:
    if len(keys) not in (0, 1, 3):
        raise ValueError("give one partition key, or three, or () for a table without partitions")
    return tuple(keys)


def _require_zone(name: str) -> str:
    return zone_of(name).key


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


_DateKeys = Annotated[
    Sequence[str], BeforeValidator(_in_a_sequence), AfterValidator(_require_none_one_or_three)
]
_Zone = Annotated[str, AfterValidator(_require_zone)]
_PartitionFormat = Annotated[str, AfterValidator(require_dates)]
_Wait = Annotated[timedelta, AfterValidator(_require_time)]
_DoneObject = Annotated[str, AfterValidator(_require_done_object)]


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Input:
    """A table that a report reads; InputError if a field is wrong.

    It is partitioned by date, or has no partitions (`columns=()`). Without partitions a query reads
    all of it, and besides `table` and `columns` only `database` has a meaning.

    Attributes:
        table: Its name in Glue.
        columns: Its partition keys: one that holds a date, or three that hold year, month and day;
            `()` for a table without partitions.
        zone: IANA zone in which the partitions are dated.
        format: How one key writes its date (`strftime`), or its month or year. Hourly partitions
            are not supported yet.
        kind: Type of the keys.
        previous: Whether the SQL reads the previous period too.
        missing: If a partition is missing: `fail` before the query is paid, or publish and mark as
            `partial`.
        wait: How long after the end of the period a run waits for its partitions, before `missing`
            decides; None to query at once.
        done: With `wait`, the S3 address of an object that says that a partition is complete. A
            partition counts as missing without it. `{date}` stands for the partition's key as
            `format` writes it; with three keys for the date as YYYY-MM-DD. A table whose partitions
            are projected needs it, as Glue does not know them.
        database: Glue database; None for the environment's.
    """

    table: str
    columns: _DateKeys = ("dt",)
    _: KW_ONLY
    zone: _Zone = "UTC"
    format: _PartitionFormat = "%Y-%m-%d"
    kind: PartitionKind = "string"
    previous: bool = False
    missing: Literal["fail", "partial"] = "fail"
    wait: _Wait | None = None
    done: _DoneObject | None = None
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
            default = type(self).__dataclass_fields__[name].default
            if getattr(self, name) != default:
                problem = "it has no meaning for a table without partitions (columns=())."
                raise InputError(f"Input {self.table!r}, field {name!r}: {problem} Leave it out.")
        return self

    @model_validator(mode="after")
    def _require_wait(self) -> Self:
        if self.done is not None and self.wait is None:
            problem = "it is looked for only by a run that waits."
            way_out = "Give wait=timedelta(hours=6) too, or leave it out."
            raise InputError(f"Input {self.table!r}, field 'done': {problem} {way_out}")
        return self

    @property
    def is_partitioned(self) -> bool:
        """Whether the table has partitions."""
        return len(self.columns) > 0

    def done_object(self, partition: Sequence[str]) -> str:
        """Return the address of the object that says that a partition is complete.

        Args:
            partition: The values of its keys, as `partition_values` gives them.
        """
        if self.done is None:
            raise ValueError(f"{self.table} has no done objects")
        date = "-".join(value.zfill(2) for value in partition)  # of three keys, as YYYY-MM-DD
        return self.done.replace(_DATE, date)


def _table_of(arguments: pydantic_core.ArgsKwargs) -> object:
    """Return the table that a call of `Input` names; None if it names none."""
    if arguments.args:
        return arguments.args[0]
    if arguments.kwargs:
        return arguments.kwargs.get("table")
    return None
