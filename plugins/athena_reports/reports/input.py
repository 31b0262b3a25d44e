"""A table that a report reads: the declaration that its partition filter, the look for gaps and the estimate share."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, model_validator

from athena_reports.errors import InputError
from athena_reports.periods.partition_format import require_dates
from athena_reports.periods.sql_period import PartitionKind
from athena_reports.periods.zones import zone_of

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid")


def _date_keys(columns: Sequence[str]) -> tuple[str, ...]:
    if len(columns) not in (1, 3):
        raise ValueError("give one partition key, or three")
    return tuple(columns)


def mistake(error: pydantic.ValidationError, fields: Mapping[str, object]) -> tuple[str, str]:
    """Return the field that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    field, *inside = first["loc"]
    if first["type"] == "missing":
        return str(field), "it is missing."
    if field not in fields:
        (nearest,) = get_close_matches(str(field), fields, n=1, cutoff=0)
        return str(field), f"there is no such field. Did you mean {nearest}?"
    name = f"{field}[{inside[0]!r}]" if field in ("params", "columns") and inside else str(field)
    return name, f"{first['input']!r} is not valid: {first['msg'].removeprefix('Value error, ')}"


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Input:
    """A table that a report reads, partitioned as `period.partitions` filters it; InputError if a field is wrong.

    Attributes:
        table: Its name in Glue.
        columns: Its partition keys: one that holds a date, or three that hold year, month and day.
        zone: IANA zone in which the partitions are dated.
        format: How one key writes its date (`strftime`), or its month or year. Hourly partitions are not supported yet.
        kind: Type of the keys.
        previous: Whether the SQL reads the previous period too.
        missing: If a partition is missing: `fail` before the query is paid, or publish and mark as `partial`.
        database: Glue database; None for the environment's.
    """

    table: str
    columns: Annotated[
        Sequence[str], BeforeValidator(lambda key: (key,) if isinstance(key, str) else key), AfterValidator(_date_keys)
    ] = ("dt",)
    _: KW_ONLY
    zone: Annotated[str, AfterValidator(lambda name: zone_of(name).key)] = "UTC"
    format: Annotated[str, AfterValidator(require_dates)] = "%Y-%m-%d"
    kind: PartitionKind = "string"
    previous: bool = False
    missing: Literal["fail", "partial"] = "fail"
    database: str | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, fields: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(fields)
        except pydantic.ValidationError as error:
            field, problem = mistake(error, cls.__annotations__)
            table = fields.args[0] if fields.args else (fields.kwargs or {}).get("table")
            raise InputError(f"Input {table!r}, field {field!r}: {problem}") from None
