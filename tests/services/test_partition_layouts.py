"""Each way to partition a table that docs/how-to/partitions.md names, on the local Athena.

The filter on the partitions changes no row and reads less, and exactly the partitions that are not
there are missed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest

from athena_reports import Input, weekly
from athena_reports.errors import InputError
from athena_reports.inputs.coverage import InputPartitions
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.steps.input_coverage import find_partitions
from athena_reports_cli.local.services import Services
from tests.services.partitioned import Lake, Partitioning, Play
from tests.support.code_blocks import blocks_of
from tests.support.local_athena import finished_query
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "partitions.md"
# Of a zone of half hours: both hours at its borders are read.
PERIOD = weekly("sunday", "Asia/Kolkata").period("2025-06-22")
HOUR = timedelta(hours=1)
FIRST = datetime(2025, 6, 21, tzinfo=UTC)
HOURS = [FIRST + number * HOUR for number in range(9 * 24)]
NEEDED_HOURS = [datetime(2025, 6, 21, 18, tzinfo=UTC) + number * HOUR for number in range(169)]
DATES = "2025-06-18,2025-07-02"


def plays() -> list[Play]:
    chance = random.Random(30)
    instants = [FIRST + timedelta(seconds=chance.randrange(9 * 86_400)) for _ in range(48)]
    for border in (PERIOD.start_utc, PERIOD.end_utc):
        instants += [border, border - timedelta(milliseconds=1), border + timedelta(minutes=29)]
    # In other months, which layouts of months pass over.
    instants += [datetime(2025, month, 24, 5, tzinfo=UTC) for month in (4, 5, 8)]
    made = []
    for number, instant in enumerate(instants):
        region = ("jp", "us", "jp", "us", "de")[number % 5]
        made.append(Play(f"e{number:03}", f"u{number % 17}", number, instant, region))
    return made


PLAYS = plays()
TEXT = "string"
PARTS = ("year", "month", "day", "hour")
OF_DATES = {"dt.type": "date", "dt.range": DATES, "dt.format": "yyyy-MM-dd"}
OF_HOUR = {"hour.type": "integer", "hour.range": "0,23"}
OF_PARTS = {
    "year.type": "enum",
    "year.values": "2025",
    "month.type": "integer",
    "month.range": "6,7",
    "day.type": "integer",
    "day.range": "1,31",
    **OF_HOUR,
}
WITH_ZEROS = {"month.digits": "2", "day.digits": "2", "hour.digits": "2"}

# How the table of each declaration is partitioned.
OF_DECLARATION: Mapping[str, Partitioning] = {
    'Input("plays", "dt")': Partitioning({"dt": TEXT}, lambda h: (f"{h:%Y-%m-%d}",), OF_DATES),
    'Input("plays", "dt", format="%d-%m-%Y")': Partitioning(
        {"dt": TEXT},
        lambda h: (f"{h:%d-%m-%Y}",),
        {"dt.type": "date", "dt.range": "18-06-2025,02-07-2025", "dt.format": "dd-MM-yyyy"},
    ),
    'Input("plays", "dt", kind="date")': Partitioning(
        {"dt": "date"}, lambda h: (f"{h:%Y-%m-%d}",), OF_DATES
    ),
    'Input("plays", "dt", kind="integer")': Partitioning(
        {"dt": "int"},
        lambda h: (f"{h:%Y%m%d}",),
        {"dt.type": "date", "dt.range": "20250618,20250702", "dt.format": "yyyyMMdd"},
    ),
    'Input("plays", "datehour", format="%Y/%m/%d/%H")': Partitioning(
        {"datehour": TEXT},
        lambda h: (f"{h:%Y/%m/%d/%H}",),
        {
            "datehour.type": "date",
            "datehour.range": "2025/06/18/00,2025/07/02/23",
            "datehour.format": "yyyy/MM/dd/HH",
            "datehour.interval.unit": "HOURS",
        },
    ),
    'Input("plays", ("year", "month", "day", "hour"))': Partitioning(
        dict.fromkeys(PARTS, TEXT),
        lambda h: (f"{h:%Y}", f"{h:%m}", f"{h:%d}", f"{h:%H}"),
        {**OF_PARTS, **WITH_ZEROS},
    ),
    'Input("plays", ("year", "month", "day"), kind="integer")': Partitioning(
        dict.fromkeys(PARTS[:3], "int"), lambda h: (str(h.year), str(h.month), str(h.day)), OF_PARTS
    ),
    'Input("plays", ("year", "month", "day"), format=("%Y", "%-m", "%-d"))': Partitioning(
        dict.fromkeys(PARTS[:3], TEXT), lambda h: (str(h.year), str(h.month), str(h.day)), OF_PARTS
    ),
    'Input("plays", ("dt", "hour"))': Partitioning(
        {"dt": TEXT, "hour": TEXT},
        lambda h: (f"{h:%Y-%m-%d}", f"{h:%H}"),
        {**OF_DATES, **OF_HOUR, "hour.digits": "2"},
    ),
    'Input("cur", ("year", "month"))': Partitioning(
        {"year": TEXT, "month": TEXT},
        lambda h: (f"{h:%Y}", f"{h:%m}"),
        {**OF_PARTS, "month.range": "4,8", "month.digits": "2"},
    ),
    'Input("cur2", "billing_period", format="%Y-%m")': Partitioning(
        {"billing_period": TEXT},
        lambda h: (f"{h:%Y-%m}",),
        {
            "billing_period.type": "date",
            "billing_period.range": "2025-04,2025-08",
            "billing_period.format": "yyyy-MM",
        },
    ),
    'Input("plays", "dt", only={"region": ["jp", "us"]})': Partitioning(
        {"dt": TEXT, "region": TEXT},
        lambda h: (f"{h:%Y-%m-%d}",),
        {**OF_DATES, "region.type": "enum", "region.values": "jp,us,de"},
        regions=("jp", "us", "de"),
    ),
    'Input("plays_v", "dt", of="plays")': Partitioning(
        {"dt": TEXT}, lambda h: (f"{h:%Y-%m-%d}",), OF_DATES
    ),
}
WITHOUT_PARTITIONS = 'Input("products", columns=())'
# What the page says in words: any value of a further key.
FREE_KEY = Partitioning(
    {"dt": TEXT, "region": TEXT}, lambda h: (f"{h:%Y-%m-%d}",), OF_DATES, regions=("jp", "us", "de")
)


def declarations_of_the_page() -> list[str]:
    """Each declaration in the table of the page."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    return re.findall(r"`(Input\([^`]*\))`", "\n".join(rows))


def declared(text: str) -> Input:
    source: Input = eval(text, {"Input": Input})
    return source


def test_each_declaration_of_the_page_is_held_against_a_table() -> None:
    assert sorted(declarations_of_the_page()) == sorted([*OF_DECLARATION, WITHOUT_PARTITIONS])


def test_the_message_of_the_page_is_that_of_a_run(services: Services) -> None:
    lake = Lake(services, "athena-lake-messages", "lake")
    lake.create()
    by_parts = OF_DECLARATION['Input("plays", ("year", "month", "day"), kind="integer")']
    lake.add_table("plays", by_parts, [], [])
    (message,) = [block.text for block in blocks_of(PAGE) if block.language == "text"]
    with pytest.raises(InputError) as refused:
        Asked(lake, declared('Input("plays", "dt")'), by_parts, is_projected=False).look()
    assert str(refused.value).split() == message.split()


class Asked(NamedTuple):
    """A table, and what a report asks of it."""

    lake: Lake
    source: Input
    partitioning: Partitioning
    is_projected: bool

    @property
    def relation(self) -> str:
        """What the query reads; a view as its SQL, which the local Athena does not look up."""
        if self.source.of is None:
            return self.source.table
        columns = ", ".join(("event_id", "played_at", *self.source.columns))
        return f"(SELECT {columns} FROM {self.source.of}) AS {self.source.table}"

    def events(self, condition: str) -> tuple[list[str], int]:
        """The events that a query gives, and the bytes that it scans."""
        services = self.lake.services
        execution, rows = finished_query(
            f"SELECT event_id FROM {self.relation} WHERE {condition} ORDER BY event_id",
            services.athena,
            database=self.lake.database,
            workgroup="dev",
        )
        return [row["event_id"] for row in rows], execution["Statistics"]["DataScannedInBytes"]

    def names(self, hours: Sequence[datetime]) -> list[str]:
        """What messages call the partitions of some hours."""
        of_time = dict.fromkeys(map(self.partitioning.values, hours))
        names = []
        for values, further in product(of_time, product(*self.source.only.values())):
            keys = (*self.source.columns, *self.source.only)
            pairs = zip(keys, (*values, *further), strict=True)
            names.append("/".join(f"{key}={value}" for key, value in pairs))
        return names

    def look(self) -> InputPartitions:
        (found,) = find_partitions(
            [self.source],
            PERIOD,
            late_by=timedelta(0),
            now=datetime(2025, 7, 20, tzinfo=UTC),
            database=self.lake.database,
            glue=self.lake.services.glue,
            s3=None,  # type: ignore[arg-type]
        )
        return found

    def drop(self, hours: Sequence[datetime]) -> list[str]:
        """Let Glue forget the partitions of some hours, and return what messages call them."""
        for values in self.partitioning.partitions(hours):
            self.lake.services.glue.delete_partition(
                DatabaseName=self.lake.database,
                TableName=self.source.of or self.source.table,
                PartitionValues=[*values],
            )
        return self.names(hours)


CASES = [
    *(pytest.param(*case, id=case[0]) for case in OF_DECLARATION.items()),
    pytest.param('Input("plays", "dt")', FREE_KEY, id="a free key"),
]
_databases = iter(range(1000))


@pytest.fixture
def lake(services: Services) -> Lake:
    """A bucket and a database of the test's own."""
    number = next(_databases)
    lake = Lake(services, f"athena-lake-layouts-{number}", f"layouts_{number}")
    lake.create()
    return lake


def create_view(lake: Lake, name: str) -> None:
    columns: Any = [{"Name": name, "Type": TEXT} for name in ("event_id", "played_at", "dt")]
    view: Any = {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "StorageDescriptor": {"Columns": columns},
    }
    lake.services.glue.create_table(DatabaseName=lake.database, TableInput=view)


def registered_and_projected(lake: Lake, text: str, partitioning: Partitioning) -> Iterator[Asked]:
    """A table whose partitions are registered, then one of the same files with projected ones."""
    source = declared(text)
    name = source.of or source.table
    if source.of is not None:
        create_view(lake, source.table)
    plays = [(play, play.played_at) for play in PLAYS]
    faces = [*HOURS, *(play.played_at for play in PLAYS)]
    lake.add_table(name, partitioning, plays, partitioning.partitions(faces))
    yield Asked(lake, source, partitioning, is_projected=False)
    if partitioning is FREE_KEY:  # the values of a free key are not told
        return
    lake.services.glue.delete_table(DatabaseName=lake.database, Name=name)
    lake.add_table(name, partitioning, [], None)
    yield Asked(lake, source, partitioning, is_projected=True)


@pytest.mark.parametrize(("text", "partitioning"), CASES)
def test_the_filter_changes_no_row_and_coverage_misses_what_is_not_there(
    lake: Lake, text: str, partitioning: Partitioning
) -> None:
    for asked in registered_and_projected(lake, text, partitioning):
        assert_the_filter_and_coverage_are_right(asked)


def assert_the_filter_and_coverage_are_right(asked: Asked) -> None:
    contains = SqlPeriod(PERIOD).contains("played_at")
    for key, values in asked.source.only.items():
        contains += f" AND {key} IN ({', '.join(repr(value) for value in values)})"
    filtered = asked.source.predicate(PERIOD, timedelta(0))
    expected = [
        play.event_id
        for play in PLAYS
        if PERIOD.start_utc <= play.played_at < PERIOD.end_utc
        and play.region in asked.source.only.get("region", (play.region,))
    ]
    assert len(expected) > 30

    events, scanned_bytes = asked.events(f"{filtered} AND {contains}")
    all_events, all_scanned_bytes = asked.events(contains)
    assert events == all_events == sorted(expected)
    assert 0 < scanned_bytes < all_scanned_bytes

    needed = asked.names(NEEDED_HOURS)
    coverage = asked.look().coverage
    assert (coverage.gaps, sorted(coverage.present)) == ([], sorted(needed))
    if not asked.is_projected:
        dropped = asked.drop([NEEDED_HOURS[0], NEEDED_HOURS[-1]])
        coverage = asked.look().coverage
        assert sorted(coverage.absent) == sorted(dropped)
        assert sorted(coverage.present) == sorted(set(needed) - set(dropped))


def test_a_table_without_partitions_is_only_looked_for(services: Services) -> None:
    lake = Lake(services, "athena-lake-products", "products_lake")
    lake.create()
    whole = Partitioning({}, lambda _: ())
    asked = Asked(lake, declared(WITHOUT_PARTITIONS), whole, is_projected=False)
    with pytest.raises(InputError, match="does not exist in Glue"):
        asked.look()
    lake.add_table("products", whole, [(play, play.played_at) for play in PLAYS], [])
    found = asked.look()
    assert not found.coverage.is_partitioned
    assert found.folders == {"": "s3://athena-lake-products/products/"}
