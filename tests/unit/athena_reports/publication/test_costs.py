"""What is summed up of costs: every query of a period once, in its month."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from athena_reports.publication.commit import read_manifest
from athena_reports.publication.costs import Cost, last_months, merged, summary
from athena_reports.publication.manifest import QueryFacts
from tests.support.publishing import Place, facts

# Of each run of `transform` and `publish`: the number of its query, later ones of later queries,
# and the rows.
PUBLICATIONS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=6)
period_numbers = count(1)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PUBLICATIONS)
@example([(0, "a"), (0, "b")])
@example([(0, "a"), (1, "a"), (1, "b"), (1, "a"), (2, "a")])
def test_whatever_versions_its_queries_make_a_period_counts_each_query_that_was_published_once(
    place: Place, publications: list[tuple[int, str]]
) -> None:
    period_id = f"period {next(period_numbers)}"
    period, published = place.at(period_id), set[int]()
    for number, rows in publications:
        paid = QueryFacts(
            id=str(number),
            submitted_at=f"2026-11-0{number + 1}",
            scanned_bytes=2**number,
            price_usd=1.0,
        )
        period.publish(
            period.upload(*rows, formats=["parquet"]), facts(period_id=period_id, query=paid)
        )
        if number >= max(published, default=0):  # else a later query has already published
            published.add(number)

    manifest, _ = read_manifest(period.location, period.s3)
    assert manifest is not None
    scanned = sum(2**number for number in published)  # of no other set of queries
    assert manifest.ledger == {"2026-11": (len(published), scanned, float(len(published)), 0)}


def test_a_summary_is_of_its_months_alone_and_growth_is_per_query() -> None:
    ledger = merged(
        [
            {"2026-01": Cost(4, 400, 4.0)},
            {"2026-02": Cost(1, 100, 1.0)},
            {"2026-03": Cost(2, 300, 0, 2)},
        ]
    )
    assert summary(ledger, ["2026-01", "2026-02"]).model_dump() == {
        "queries": 5, "scanned_bytes": 500, "price_usd": 5.0, "unpriced": 0, "growth": 0.0
    }  # fmt: skip
    everything = summary(ledger, last_months(12, datetime(2026, 3, 1, tzinfo=UTC)))
    assert (everything.price_usd, everything.unpriced, everything.growth) == (5.0, 2, 0.5)
    assert (summary(ledger, ["2026-03"]).price_usd, summary(ledger, ["2026-03"]).growth) == (
        None,
        None,
    )
    assert summary(ledger, []).queries == 0


def test_the_last_months_go_over_the_turn_of_the_year() -> None:
    assert last_months(3, datetime(2026, 2, 28, tzinfo=UTC)) == ["2025-12", "2026-01", "2026-02"]
    assert last_months(14, datetime(2026, 12, 31, tzinfo=UTC))[0] == "2025-11"


def test_from_a_month_that_scanned_nothing_no_growth_can_be_told() -> None:
    """Such as one whose queries have read a table that was empty."""
    months = ["2026-01", "2026-02"]
    grown = {"2026-01": Cost(2, 0, 0.0), "2026-02": Cost(1, 100, 1.0)}
    assert summary(grown, months).growth is None
    assert summary({**grown, "2026-01": Cost(2, 1, 0.0)}, months).growth == 199.0
    assert summary({"2026-01": Cost(1, 100, 1.0), "2026-02": Cost(1, 0, 0.0)}, months).growth == -1
