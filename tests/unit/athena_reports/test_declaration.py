"""What an author reads about a declaration that is not valid: our words, and never pydantic's."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, field
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic import AfterValidator, ByteSize, Field, InstanceOf

from athena_reports import Column, RetryPolicy
from athena_reports.declaration import CONFIG, Declaration, validated
from athena_reports.errors import ReportError


def _require_even(number: int) -> int:
    if number % 2:
        raise ValueError("expected an even number.")
    return number


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Game(Declaration):
    """A declaration with a field of each kind."""

    title: str
    unit: Annotated[str, Field(min_length=1)] = "points"
    _: KW_ONLY
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "go"
    players: Annotated[int, Field(ge=1, le=8)] = 2
    teams: Annotated[int, AfterValidator(_require_even)] = 2
    ratio: float = 1
    mode: Literal["solo", "team"] = "solo"
    ranked: bool = False
    wait: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(1)
    day: date | str = "2025-01-01"
    size: ByteSize | None = None
    tags: Annotated[Sequence[str], Field(min_length=1)] = ("a",)
    labels: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[InstanceOf[Column]] = ()


@pytest.mark.parametrize(
    ("fields", "named", "problem"),
    [
        ({"title": 1}, "title", "1 is not valid: expected text."),
        ({"unit": ""}, "unit", "'' is not valid: expected non-empty text."),
        ({"code": "Go"}, "code", "'Go' is not valid: expected text that matches ^[a-z]+$."),
        ({"players": 0}, "players", "0 is not valid: expected 1 or more."),
        ({"players": 9}, "players", "9 is not valid: expected 8 or less."),
        ({"players": "2"}, "players", "'2' is not valid: expected a whole number."),
        ({"teams": 3}, "teams", "3 is not valid: expected an even number."),
        ({"ratio": "1"}, "ratio", "'1' is not valid: expected a number."),
        ({"mode": "duel"}, "mode", "'duel' is not valid: expected 'solo' or 'team'."),
        ({"ranked": 1}, "ranked", "1 is not valid: expected True or False."),
        (
            {"wait": 5},
            "wait",
            "5 is not valid: expected a timedelta, such as timedelta(hours=6).",
        ),
        (
            {"wait": timedelta(0)},
            "wait",
            "0:00:00 is not valid: expected more than 0 seconds.",
        ),
        ({"day": 5}, "day", "5 is not valid: expected a date or text."),
        ({"size": "big"}, "size", "'big' is not valid: expected a size, such as '20 GB'."),
        ({"tags": []}, "tags", "[] is not valid: expected at least one item."),
        ({"tags": "a"}, "tags", "'a' is not valid: expected a list."),
        ({"tags": {"a"}}, "tags", "{'a'} is not valid: expected a list."),
        ({"labels": ["a"]}, "labels", "['a'] is not valid: expected a dictionary."),
        ({"labels": {"a": "b", "c": 1}}, "labels['c']", "1 is not valid: expected text."),
        ({"labels": {1: "b"}}, "labels[1]", "1 is not valid: expected text."),
        ({"parts": ["a"]}, "parts", "'a' is not valid: expected a value of type Column."),
        ({"tag": "a"}, "tag", "unknown field. Did you mean tags?"),
        ({"xyz": "a"}, "xyz", "unknown field."),
    ],
)
def test_a_field_that_is_not_valid_is_named_with_what_to_give(
    fields: dict[str, Any], named: str, problem: str
) -> None:
    with pytest.raises(ReportError) as caught:
        Game(**{"title": "go", **fields})

    error = caught.value
    declaration = "Game" if "title" in fields else "Game 'go'"
    assert (error.declaration, error.field) == (declaration, named)
    assert str(error) == f"{declaration}, field {named!r}: {problem}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Game, field 'title': this field is required."),
        (("go", 1), "Game 'go', field 'unit': 1 is not valid: expected text."),
        (
            ("go", "stones", 2),
            "Game 'go', field 'unit': too many positional arguments. Pass them by name, such as"
            " unit='kg'.",
        ),
    ],
)
def test_arguments_without_a_name_are_validated_too(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ReportError) as caught:
        Game(*arguments)
    assert str(caught.value) == text


@validated
def play(*moves: str, rounds: Annotated[int, Field(ge=1)] = 1) -> str:
    """Play some moves in each round."""
    return ",".join(moves * rounds)


@pytest.mark.parametrize(
    ("moves", "options", "text"),
    [
        (("a", "b", 3), {}, "play(), field 'moves': 3 is not valid: expected text."),
        (("a",), {"rounds": 0}, "play(), field 'rounds': 0 is not valid: expected 1 or more."),
        (
            ("a",),
            {"round": 2},
            "play(), field 'round': unknown field. Did you mean rounds?",
        ),
    ],
)
def test_arguments_of_a_function_are_validated(
    moves: tuple[Any, ...], options: dict[str, Any], text: str
) -> None:
    assert play("a", "b", rounds=2) == "a,b,a,b"
    with pytest.raises(ReportError) as caught:
        play(*moves, **options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Column("bigint"),  # type: ignore[call-arg]
        lambda: RetryPolicy(retries=-1),
        lambda: RetryPolicy(first_pause=timedelta(-1)),
        lambda: RetryPolicy(factor=0.5),
        lambda: RetryPolicy(longest_pause=timedelta(0)),
        lambda: RetryPolicy(delay=3),  # type: ignore[call-arg]
    ],
)
def test_each_declaration_of_an_author_is_validated(declare: Any) -> None:
    with pytest.raises(ReportError):
        declare()
