"""What a period needs of an input, in the form in which a waiting task keeps it."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter, field_serializer, field_validator

from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import Cadence, Period

_cadences = TypeAdapter(Cadence)


class InputNeed(BaseModel, frozen=True):
    """What a period needs of one input. It is its own wire form, as JSON.

    Attributes:
        source: The input.
        period: The period that the query is of.
        late_by: How late events may land.
        database: The database of an input that names none.
    """

    source: Source
    period: Period
    late_by: timedelta
    database: str

    @field_serializer("source")
    def _source_to_wire(self, source: Source) -> dict[str, Any]:
        wire_form = {field.name: getattr(source, field.name) for field in fields(source)}
        if isinstance(source, Input):
            wire_form["only"] = dict(source.only)
        else:
            wire_form["cadence"] = _cadences.dump_python(source.cadence)
        if source.wait is not None:
            wire_form["wait"] = source.wait.total_seconds()
        return wire_form

    @field_validator("source", mode="before")
    @classmethod
    def _source_from_wire(cls, wire_form: Any) -> Any:
        if not isinstance(wire_form, Mapping):
            return wire_form
        arguments = dict(wire_form)
        if arguments["wait"] is not None:
            arguments["wait"] = timedelta(seconds=arguments["wait"])
        if "cadence" in arguments:
            cadence = _cadences.validate_python(arguments.pop("cadence"))
            return Published(cadence=cadence, **arguments)
        return Input(**arguments)

    @property
    def lookup(self) -> tuple[object, ...]:
        """What one look at the account can answer: equal for needs that it answers together."""
        source = self.source
        database = source.database or self.database
        if isinstance(source, Published):
            # A broken part of one period must not hide what there is of another.
            return database, source.table, source.cadence, self.period
        only = tuple(source.only.items())
        keys = (source.columns, source.format, source.kind)
        return database, source.table, source.of, keys, only, source.done
