"""Which columns a mail shows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from athena_reports import mail
from athena_reports.delivery.content import ContentColumn
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.table_columns import TableColumns
from tests.unit.athena_reports.delivery.contents import bare_content, content

RANKING = ["rank", "user_id", "user_name", "country", "movement"]


def usual(
    texts: Sequence[str], numbers: Sequence[str], *, key: Sequence[str] = (), bar: str = ""
) -> TableColumns:
    columns = [ContentColumn(name, "VARCHAR") for name in texts]
    columns += [ContentColumn(name, "BIGINT") for name in numbers]
    return TableColumns.usual(bare_content(columns, key=tuple(key), bar=bar))


@pytest.mark.parametrize("key", [["user_id"], ["rank"], []])
def test_rank_key_with_its_name_four_measures_and_movement(key: list[str]) -> None:
    numbers = ["previous_rank", "a", "b", "c", "d", "e"]
    shown, narrow = usual(RANKING, numbers, key=key)
    assert shown == ["rank", "user_id", "user_name", "movement", "a", "b", "c", "d"]
    assert narrow == ["rank", "user_name", "movement", "a"]
    shown, narrow = usual(RANKING, numbers, key=key, bar="e")
    assert shown == ["rank", "user_id", "user_name", "movement", "a", "b", "c", "e"]
    assert narrow == ["rank", "user_name", "movement", "e"]


def test_the_columns_of_a_movement_have_any_name() -> None:
    assert TableColumns.usual(content()).shown == [
        *("rank", "user_id", "user_name", "score", "movement")
    ]


def test_without_key_and_measures_all_columns_are_shown() -> None:
    made = bare_content([ContentColumn("day", "DATE")])
    assert TableColumns.usual(made) == (["day"], ["day"])


def test_an_author_chooses_columns_and_their_order() -> None:
    channel = mail("sales", to=["a@example.com"], columns=["Score", "user_id"])
    assert TableColumns.of(channel, content()) == (("score", "user_id"),) * 2
    assert TableColumns.of(mail("sales", to=["a@example.com"]), content()) == TableColumns.usual(
        content()
    )
    unknown = mail("sales", to=["a@example.com"], columns=["score", "country"])
    with pytest.raises(DeliveryError) as refused:
        TableColumns.of(unknown, content())
    assert str(refused.value) == (
        "columns: the rows do not have country. Use columns of rank, user_id, user_name, score,"
        " previous_rank, movement."
    )
