"""What a waiting task keeps of an input, and which looks at the account it shares with others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from athena_reports import Input, Published, daily, weekly
from athena_reports.inputs.need import InputNeed
from tests.support.calendars import WEEK

WAIT = timedelta(hours=6, microseconds=1)
# Each field otherwise than by default.
FIELDS: dict[str, Any] = {
    "columns": ("day", "hour"),
    "zone": "Asia/Tokyo",
    "format": ("%Y%m%d", "%H"),
    "kind": ("integer", "string"),
    "only": {"region": ("jp", "us")},
    "previous": True,
    "last_year": True,
    "missing": "partial",
    "wait": WAIT,
    "done": "s3://lake/{date}/done",
    "of": "raw.plays",
    "database": "lake",
}
# What one look at Glue and S3 depends on. The other fields say which partitions are looked for.
OF_A_LOOK: dict[str, Any] = {
    "table": "songs",
    "columns": ("day", "hr"),
    "format": ("%d%m%Y", "%H"),
    "kind": ("string", "integer"),
    "only": {"region": ("jp", "de")},
    "done": "s3://lake/{date}/other",
    "of": "plays",
    "database": "another",
}
OF_THE_PERIODS: dict[str, Any] = {
    "zone": "UTC",
    "previous": False,
    "last_year": False,
    "missing": "fail",
    "wait": timedelta(hours=7),
}


def need_of(source: Any, **fields: Any) -> InputNeed:
    usual = {"period": WEEK, "late_by": timedelta(days=1), "database": "database_dev"}
    return InputNeed(source=source, **usual | fields)


def need(**fields: Any) -> InputNeed:
    return need_of(Input(**{"table": "plays"} | FIELDS | fields))


def test_a_need_survives_the_database_with_each_field() -> None:
    # A table of another catalog has no partitions to wait for.
    assert FIELDS.keys() | {"table", "catalog"} == Input.__dataclass_fields__.keys()
    kept = InputNeed.model_validate_json(need().model_dump_json())
    assert kept == need()
    assert hash(kept) == hash(need())
    for name, value in FIELDS.items():
        assert getattr(kept.source, name) == value
        assert getattr(Input("plays"), name) != value


def test_a_need_of_parts_survives_the_database() -> None:
    weeks = weekly("sunday", "Asia/Tokyo")
    parts = need_of(Published("plays", weeks, wait=WAIT, missing="partial", parts="overlapping"))
    kept = InputNeed.model_validate_json(parts.model_dump_json())
    assert (kept, hash(kept), kept.lookup) == (parts, hash(parts), parts.lookup)


@pytest.mark.parametrize("name", OF_A_LOOK)
def test_what_one_look_cannot_answer_is_looked_for_apart(name: str) -> None:
    assert need(**{name: OF_A_LOOK[name]}).lookup != need().lookup


def test_what_one_look_can_answer_is_looked_for_together() -> None:
    for name, value in OF_THE_PERIODS.items():
        assert need(**{name: value}).lookup == need().lookup
    source = need().source
    assert need_of(source, period=WEEK.next).lookup == need().lookup
    assert need_of(source, late_by=timedelta(0)).lookup == need().lookup


def test_an_input_without_a_database_is_in_that_of_the_deployment() -> None:
    plays = Input("plays")
    assert need_of(plays).lookup == need_of(Input("plays", database="database_dev")).lookup
    assert need_of(plays).lookup != need_of(plays, database="another").lookup


def test_the_parts_of_each_period_are_looked_for_apart() -> None:
    """A broken part of one must not hide what there is of another."""
    days = Published("plays", daily("Asia/Tokyo"))
    assert need_of(days).lookup != need_of(days, period=WEEK.next).lookup
    assert need_of(days).lookup != need_of(Published("songs", daily("Asia/Tokyo"))).lookup
    assert need_of(days).lookup != need_of(Published("plays", daily())).lookup
    assert need_of(days).lookup == need_of(days, late_by=timedelta(0)).lookup
