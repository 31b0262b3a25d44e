"""How many rows a version changes, as the next manifest records it."""

from collections.abc import Sequence
from typing import Any

import pytest

from athena_reports.publication.manifest import Difference
from tests.support.publishing import EARLY, LATE, Place, facts


def difference(place: Place, old: str, new: str, key: Sequence[str]) -> Difference | None:
    """Publish the rows of two queries, and return what the second one changed."""
    for submitted_at, sql in ((EARLY, old), (LATE, new)):
        manifest = place.publish(place.upload(sql=sql, key=key), facts(submitted_at)).manifest
    return manifest.earlier_versions[0].difference


@pytest.mark.parametrize(
    ("key", "old", "new", "expected"),
    [
        (["name"], "('a', 1), ('b', 2), ('c', 3)", "('a', 1), ('b', 5), ('d', 3)", (1, 1, 1)),
        ([], "('a', 1), ('b', 2), ('c', 3)", "('a', 1), ('b', 5), ('d', 3)", (2, 2, 0)),
        # Rows of other columns are paired by a key that both versions have.
        (["name"], "('a', 'x'), ('b', 'y')", "('b', 1), ('c', 2)", (1, 1, 1)),
        ([], "('a', 'x'), ('b', 'y')", "('b', 1), ('c', 2)", (2, 2, 0)),
        (["n"], "('a', 'x'), ('b', 'y')", "('b', 1), ('c', 2)", (2, 2, 0)),
    ],
)
def test_a_difference_counts_by_the_key(
    place: Place, key: list[str], old: str, new: str, expected: tuple[int, int, int]
) -> None:
    before, after = (f"SELECT * FROM (VALUES {values}) t(name, n)" for values in (old, new))
    added, removed, changed = expected
    assert difference(place, before, after, key) == Difference(
        added=added, removed=removed, changed=changed
    )


def test_a_renamed_column_changes_each_row(place: Place) -> None:
    old, new = (f"SELECT * FROM (VALUES ('a', 1), ('b', 2)) t(name, {name})" for name in "nm")
    assert difference(place, old, new, ["name"]) == Difference(added=0, removed=0, changed=2)


def test_rows_that_are_gone_when_they_are_compared_are_replaced_without_a_difference(
    place: Place,
) -> None:
    """Somebody removes them after the objects were listed."""
    old, new = place.upload("a"), place.upload("b")
    place.publish(old, facts(EARLY))

    def remove(params: Any, **_: Any) -> None:
        if old.version in params["url"]:
            place.s3.delete([place.location.uri(old.parquet_key)])

    events = place.s3.client.meta.events
    events.register("before-call.s3.HeadObject", remove)
    publication = place.publish(new, facts(LATE))
    events.unregister("before-call.s3.HeadObject", remove)
    (earlier,) = publication.manifest.earlier_versions
    assert (publication.outcome, earlier.difference) == ("published", None)
    assert publication.manifest.version == new.version
