"""The page's JavaScript, in Debian's Chromium: what a viewer sees and what the page sends.

There is no Airflow here; `tests/airflow/page/test_page_browser.py` has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, FloatRect, Locator, expect

from athena_reports.page.answers import ChannelRow, PeriodRow
from athena_reports.page.coverage import State
from athena_reports.page.fill import HeldPeriod
from athena_reports.page.history import History
from athena_reports.periods.calendar import daily
from athena_reports.publication.manifest import Difference
from tests.support.browser import Screenshots
from tests.support.calendars import MONTHS, WEEKS
from tests.support.paths import ROOT
from tests.unit.athena_reports.page.site import (
    BASE,
    CONSOLE,
    DAG_ID,
    DELIVERING,
    NO_NETWORK,
    NOTHING,
    NOW,
    WEEK,
    Post,
    Refusal,
    Site,
    answer,
    channel,
    check,
    clear,
    column,
    deliveries,
    earlier_version,
    history,
    manifest,
    opened_site,
    period_path,
    plan,
    query,
    receipt,
    report,
    row,
    served_files,
    trigger,
)

pytestmark = pytest.mark.ci

SCREENSHOTS = Screenshots(ROOT / "docs" / "images")
LAST = WEEK[-1]
LINK = f"#{DAG_ID}/{LAST.id}"
HOSTILE = '<img src=x onerror="document.title=1">'
POLL_MS = 5_000
DASH = "\u2013"
NOTHING_PUBLISHED = "Nothing is published. There is nothing to show."
DAYS = daily("Asia/Tokyo")
OPEN_STATES = (State.MISSING, State.BROKEN, State.FAILED, State.STALE)


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[bytes, dict[str, str]]]:
    return served_files()


@pytest.fixture(scope="module")
def opened(browser: Browser, files: dict[str, tuple[bytes, dict[str, str]]]) -> Iterator[Site]:
    with opened_site(browser, files) as opened:
        yield opened


@pytest.fixture
def site(opened: Site) -> Iterator[Site]:
    opened.begin()
    yield opened
    opened.end()


def stop_clock(site: Site) -> None:
    """From here on, time passes on the page only as the test says."""
    site.page.clock.pause_at(NOW + timedelta(minutes=10))
    # The jump fires timers, and the next timer starts only after the answer to such a request.
    site.settle()


def is_refreshed(site: Site) -> None:
    """Let the page draw changed rows."""
    for dag_id, changed in site.rows.items():
        site.rows[dag_id] = replace(changed, problems=[*changed.problems, "Changed."])
    held = site.hold("coverage")
    site.page.evaluate("dispatchEvent(new Event('online'))")
    held.pass_on()
    expect(site.page.locator(".row-problem").first).to_be_visible()


def set_hidden(site: Site, is_hidden: bool) -> None:
    """Let the page believe that its tab is hidden, or is seen."""
    site.page.evaluate(
        "(is) => Object.defineProperty(document, 'hidden', {value: is, configurable: true})",
        is_hidden,
    )


def lines_of(section: Locator, text: str = "innerText") -> list[list[str]]:
    """The texts of the cells, by row; that of a table which is folded is its `textContent`."""
    texts: list[list[str]] = section.locator("tbody tr").evaluate_all(
        "(rows, text) => rows.map((row) => [...row.cells].map((cell) => cell[text].trim()))", text
    )
    return texts


# Requests


REFUSALS = [
    (Refusal.of(503, "no space"), "no space"),
    (Refusal.of(502, HOSTILE), HOSTILE),
    # As Airflow answers an error of its database.
    (Refusal.of(409, {"reason": "Unique", "message": "See the log."}), "Unique: See the log."),
    (Refusal.of(400, {"else": 1}), '{"else":1}'),
    (Refusal(500, '{"error": "other"}'), '{"error": "other"}'),
    (Refusal(502, "<h1>Bad gateway</h1>"), "<h1>Bad gateway</h1>"),
    (Refusal(504, ""), "Gateway Timeout"),
    (NO_NETWORK, "No response from Airflow's API server. Check that it is running"),
]


def test_a_refusal_is_shown_at_once_and_is_not_repeated(site: Site) -> None:
    path = "reports"
    stop_clock(site)
    for place, (refusal, shown) in enumerate(REFUSALS, start=1):
        site.put(path, refusal)
        site.page.goto("about:blank")
        site.page.goto(BASE)
        expect(site.page.get_by_role("heading", name="Could not load this page")).to_be_visible()
        expect(site.page.get_by_role("alert").locator("p")).to_contain_text(shown)
        assert site.page.locator("main img, main h1").count() == 0
        site.page.clock.run_for(120_000)
        assert site.times(path) == place


def test_who_is_not_logged_in_is_led_to_the_login_and_back(site: Site) -> None:
    site.put("reports", Refusal.of(401, "Not authenticated"))
    site.put(period_path(LAST.id), Refusal.of(401, "Not authenticated"))
    site.page.goto(f"{BASE}{LINK}")
    expect(site.page.get_by_role("heading", name="You are not logged in")).to_be_visible()
    link = site.page.get_by_role("link", name="Log in to Airflow")
    expect(link).to_have_attribute(
        "href",
        "http://airflow.test/api/v2/auth/login?next="
        f"http%3A%2F%2Fairflow.test%2Fathena-reports%2F%23{DAG_ID}%2F{LAST.id}",
    )


def test_after_the_network_is_back_the_reports_are_shown(site: Site) -> None:
    site.put_first("reports", NO_NETWORK)
    site.page.goto(BASE)
    expect(site.page.get_by_role("alert")).to_be_visible()
    site.page.evaluate("dispatchEvent(new Event('online'))")
    expect(site.cell(LAST)).to_be_visible()
    expect(site.page.get_by_role("alert")).to_have_count(0)


# Charts

VALUES = st.one_of(
    st.none(),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(-1000, 1000, places=4).map(str),
    st.floats().map(str),
    st.sampled_from(["inf", "-inf", "nan", "1.7976931348623157e+308", "5e-324", "0", "-0.0"]),
)
MATRICES = st.integers(2, 12).flatmap(
    lambda width: st.lists(
        st.lists(VALUES, min_size=width, max_size=width).map(tuple), min_size=0, max_size=6
    )
)


def is_drawn(text: str | None) -> bool:
    """Whether a value has a place in a chart; of the very largest numbers there is no axis."""
    return text is not None and abs(float(text)) <= 1e300


@settings(
    # Each example draws a page: only the nightly tests draw all.
    max_examples=settings().max_examples if settings().max_examples > 50 else 12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(matrix=MATRICES)
def test_a_line_has_a_gap_where_a_value_is_not_there(site: Site, matrix: list[Any]) -> None:
    periods = WEEK[: len(matrix[0])] if matrix else WEEK[:2]
    # The name of the measure says when the page shows this example.
    measure = f"m{site.asked.count(period_path(LAST.id))}"
    described = manifest(LAST, columns=(column("user_id"), column(measure, "BIGINT")))
    names = [f"user {number}" for number in range(len(matrix))]
    site.put_period(answer(described), history(periods, names, **{measure: matrix}))
    if site.page.url == "about:blank":
        site.open(LINK)
    else:
        site.page.evaluate("dispatchEvent(new Event('hashchange'))")
    chart = site.section("History").locator(f'svg[aria-label^="Line chart of {measure} "]')
    expect(chart).to_be_visible()

    drawn = chart.locator(".series").evaluate_all(
        """(lines) => lines.map((line) => ({
            path: line.querySelector("path").getAttribute("d"),
            dots: [...line.querySelectorAll("circle")].map(
              (dot) => [Number(dot.getAttribute("cx")), Number(dot.getAttribute("cy"))]),
        }))"""
    )
    texts = [cells for _, *cells in lines_of(site.section("History"), "textContent")]
    assert len(drawn) == len(texts) == len(matrix)
    step = (900 - 56 - 170) / (len(periods) - 1)
    for values, line, cells in zip(matrix, drawn, texts, strict=True):
        places = [place for place, value in enumerate(values) if is_drawn(value)]
        dots = line["dots"]
        assert [x for x, _ in dots] == [pytest.approx(56 + place * step) for place in places]
        # A line begins anew after each gap, and the dots are its corners.
        letters = ["L" if place - 1 in places else "M" for place in places]
        assert re.findall("[A-Z]", line["path"]) == letters
        corners = [float(number) for number in re.findall(r"[-\d.]+", line["path"])]
        assert corners == [pytest.approx(number, abs=0.06) for dot in dots for number in dot]
        for place, (_, y) in zip(places, dots, strict=True):
            assert 12 - 0.1 <= y <= 260 - 26 + 0.1
            for other, (_, other_y) in zip(places, dots, strict=True):
                if float(values[place]) > float(values[other]):
                    assert y <= other_y
        assert [text == DASH for text in cells] == [value is None for value in values]
    assert "NaN" not in chart.evaluate("(svg) => svg.outerHTML")


def test_numbers_beside_bars_and_in_rows(site: Site) -> None:
    types = {"share": "DOUBLE", "total": "HUGEINT", "amount": "DECIMAL(38,2)"}
    numbers = [column(name, type) for name, type in types.items()]
    described = manifest(LAST, rows=10, columns=(column("user_id"), *numbers))
    big = "170141183460469231731687303715884105727"
    written = f"{int(big):,}"
    rows = [
        ("u1", "0.04", "1234567", "1.50"),
        ("u2", None, None, None),
        ("u3", "inf", big, "-1234567.10"),
        ("u4", "1e-07", "-999", "0.00"),
        ("u5", "0.30000000000000004", "0", "999.99"),
        ("u6", "1000", "1000", "1000.00"),
    ]
    site.put_period(answer(described, rows))
    site.open(LINK)
    shown = site.section("First 6 of 10 rows")
    columns = {
        2: ["0.04", "NULL", "inf", "0.0000001", "0.3", "1,000"],
        3: ["1,234,567", "NULL", written, "-999", "0", "1,000"],
        4: ["1.50", "NULL", "-1,234,567.10", "0.00", "999.99", "1,000.00"],
    }
    for place, texts in columns.items():
        expect(shown.locator(f"tbody td:nth-child({place})")).to_have_text(texts)
    beside = {
        "share": ["0.04", "NULL", "inf", "0.0000001", "0.3", "1K"],
        "total": ["1.2M", "NULL", re.compile(r"^170,141,.*T$"), "-999", "0", "1K"],
        "amount": ["1.50", "NULL", "-1.2M", "0.00", "999.99", "1K"],
    }
    for place, (measure, texts) in enumerate(beside.items(), start=2):
        shown.get_by_label("By").select_option(measure)
        expect(shown.locator(".chart .value")).to_have_text(texts)
        chart = f"Bar chart of {measure} of the first 6 rows"
        expect(shown.get_by_role("img", name=chart)).to_be_visible()
        titles = shown.locator(".chart title").all_text_contents()
        whole = [DASH if text == "NULL" else text for text in columns[place]]
        assert titles == [f"u{n}: {text}" for n, text in enumerate(whole, start=1)]


def bars_of(site: Site, values: list[str | None]) -> list[list[float]]:
    """Draw a bar chart; of each bar, return its left end and its width."""
    rows = [(f"u{place}", value) for place, value in enumerate(values)]
    columns = (column("user_id"), column("score", "DOUBLE"))
    site.put_period(answer(manifest(LAST, rows=len(rows), columns=columns), rows))
    site.open(LINK)
    bars = site.section(f"{len(rows)} rows").locator("rect")
    expect(bars).to_have_count(len(rows))
    read = "(bars) => bars.map((bar) => ['x', 'width'].map((name) => bar.getAttribute(name) * 1))"
    ends: list[list[float]] = bars.evaluate_all(read)
    return ends


def test_bars_begin_at_zero_and_are_as_long_as_their_values(site: Site) -> None:
    bars = bars_of(site, ["100", "-50", None, "25", "1.7e308"])
    zero = bars[0][0]
    assert bars[0][1] == pytest.approx(2 * bars[1][1]) == pytest.approx(4 * bars[3][1])
    assert [bars[1][0] + bars[1][1], bars[3][0]] == [pytest.approx(zero), pytest.approx(zero)]
    assert bars[2] == bars[4] == [pytest.approx(zero), 1]
    # The longest bar fills the room between the names and what stands beside the bars.
    (left, width), (_, half) = bars_of(site, ["100", "50"])
    assert [left, width, half] == [pytest.approx(number) for number in (150, 300, 150)]
    (left, width), (begin, half) = bars_of(site, ["-100", "-50"])
    expected = [150, 300, 300, 150]
    assert [left, width, begin, half] == [pytest.approx(number) for number in expected]
    # The values stand behind the bars, those of negative ones behind zero.
    texts = site.section("2 rows").locator(".chart .value")
    read = "(texts) => texts.map((text) => text.getAttribute('x') * 1)"
    assert texts.evaluate_all(read) == [pytest.approx(456), pytest.approx(456)]


def test_the_axis_has_a_few_round_numbers(site: Site) -> None:
    axes = {
        ("0.031", "0.034"): ["0", "0.01", "0.02", "0.03", "0.04"],
        ("3", "8"): ["0", "2", "4", "6", "8"],
        ("9", "17"): ["0", "5", "10", "15", "20"],
        ("-3", "33"): ["-10", "0", "10", "20", "30", "40"],
        ("1500", "4000"): ["0", "1K", "2K", "3K", "4K"],
    }
    measures = {f"to {values[-1]}": [values] for values in axes}
    columns = (column("user_id"), *(column(measure, "DOUBLE") for measure in measures))
    shown = history(WEEK[:2], ["u1"], **measures)
    site.put_period(answer(manifest(LAST, columns=columns), []), shown)
    site.open(LINK)
    section = site.section("History")
    for values, numbers in axes.items():
        section.get_by_label("By").select_option(f"to {values[-1]}")
        expect(section.locator(".gridline text")).to_have_text(numbers)


@pytest.mark.parametrize(
    ("names", "beside_bars", "beside_lines"),
    [
        (
            [("a" * 20,), ("a" * 21,), ("a" * 23,)],
            ["a" * 20, "a" * 19 + "…", "a" * 19 + "…"],
            ["a" * 20, "a" * 21, "a" * 21 + "…"],
        ),
        # All parts of a name are kept, and the longest ones are shortened.
        (
            [("a" * 30, "30"), ("a" * 33, "30"), ("a" * 40, "b" * 40)],
            ["a" * 30 + ", 30", "a" * 31 + "…, 30", f"{'a' * 16}…, {'b' * 16}…"],
            ["a" * 30 + ", 30", "a" * 33 + ", 30", f"{'a' * 18}…, {'b' * 18}…"],
        ),
    ],
    ids=["one part", "two parts"],
)
def test_a_long_name_is_cut_beside_its_bar_and_its_line_and_whole_elsewhere(
    site: Site, names: list[tuple[str, ...]], beside_bars: list[str], beside_lines: list[str]
) -> None:
    columns = (column("one"), column("two"), column("score", "BIGINT"))
    described = manifest(LAST, rows=3, columns=columns, key=("one", "two")[: len(names[0])])
    values = [("1", "2"), ("1", "4"), ("1", "6")]
    rows = [(*(*name, "")[:2], "2") for name in names]
    site.put_period(answer(described, rows), history(WEEK[-2:], names, score=values))
    site.open(LINK)
    wholes = [", ".join(name) for name in names]
    bars = site.section("3 rows").locator(".chart")
    expect(bars.locator(".label")).to_have_text(beside_bars)
    expect(bars.locator(".label").first).to_have_css("text-anchor", "end")  # they end at the bars
    assert bars.locator("title").all_text_contents() == [f"{whole}: 2" for whole in wholes]
    lines = site.section("History")
    expect(lines.locator("text.name")).to_have_text(beside_lines)
    firsts = lines.locator("circle:first-of-type title")
    assert firsts.all_text_contents() == [f"{whole}, {WEEK[-2].id}: 1" for whole in wholes]
    expect(lines.locator("tbody th")).to_have_text(wholes)
    # What stands beside a bar or a line lies within the chart. Its room is for letters of a usual
    # width: of a wide font, such as DejaVu Sans, up to four letters stick out.
    beyond = """(svg) => {
        const all = svg.getBoundingClientRect();
        const unit = all.width / svg.viewBox.baseVal.width;
        return Math.max(...[...svg.querySelectorAll("text, rect")].map((each) => {
            const own = each.getBoundingClientRect();
            return Math.max(all.left - own.left, own.right - all.right, own.bottom - all.bottom);
        })) / unit;
    }"""
    letter = 8  # the width of a letter, in units of the chart
    for chart in (bars.locator("svg"), lines.locator("svg")):
        assert chart.evaluate(beyond) < 4 * letter


def heights_of_names(site: Site, *lasts: str) -> list[tuple[float, float]]:
    """Draw lines that end with these values; of each, return the heights of its end and name."""
    names = [f"u{number}" for number in range(len(lasts))]
    values = [("0", last) for last in lasts]
    site.put_period(answer(manifest(LAST)), history(WEEK[-2:], names, score=values))
    site.open(LINK)
    lines = site.section("History").locator(".series")
    expect(lines).to_have_count(len(lasts))
    read = """(lines) => lines.map((line) => [
        line.querySelector("circle:last-of-type").getAttribute("cy") * 1,
        line.querySelector(".name").getAttribute("y") - 4,
    ])"""
    heights: list[tuple[float, float]] = lines.evaluate_all(read)
    return heights


def test_names_stand_at_the_ends_of_their_lines_and_cover_no_other(site: Site) -> None:
    bottom, top, close, middle = heights_of_names(site, "0", "100", "99", "50")
    for end, name in (bottom, top, middle):
        assert name == pytest.approx(end)
    # It has made room for the name above it.
    assert close[1] == pytest.approx(top[1] + 16)
    # The lowest ones have no room below.
    lowest, low, high = heights_of_names(site, "0", "1", "60")
    assert lowest[1] == pytest.approx(lowest[0])
    assert low[1] == pytest.approx(lowest[1] - 16)
    assert high[1] < low[1] - 16
    # Those that have room stay, however many lack it.
    *lows, highest = heights_of_names(site, "0", "0", "0", "0", "100")
    assert highest[1] == pytest.approx(highest[0])
    heights = sorted(name for _, name in lows)
    assert heights[-1] == pytest.approx(lows[0][0])
    assert [b - a for a, b in pairwise(heights)] == pytest.approx([16, 16, 16])


def test_the_history_of_a_period_without_others_or_with_problems_says_so(site: Site) -> None:
    histories = [
        (History(), "No earlier period to compare with"),
        (History(periods=[LAST.id]), "No earlier period to compare with"),
        (History(note=HOSTILE), HOSTILE),
        (Refusal.of(502, "S3 does not answer"), "S3 does not answer"),
        (
            History(
                periods=[WEEK[0].id, LAST.id],
                names=[(HOSTILE,)],
                measures=[[None, ("7",)]],
                problems=["a manifest is gone", HOSTILE],
            ),
            "a manifest is gone",
        ),
    ]
    for shown, text in histories:
        site.put_period(answer(manifest(LAST)), shown)
        site.open(LINK)
        expect(site.section("History")).to_contain_text(text)
        assert site.page.locator("main img").count() == 0
    expect(site.section("History").get_by_role("alert")).to_have_text(
        ["a manifest is gone", HOSTILE]
    )


# Coverage


def names_shown(site: Site) -> Locator:
    return site.page.get_by_role("rowheader").locator("strong")


def test_reports_are_found_by_a_part_of_their_name(site: Site) -> None:
    names = ("Shop_Revenue", "user_ranking", "users", HOSTILE)
    site.show(*(report(row(LAST), dag_id=f"{name}_weekly") for name in names))
    find = site.page.get_by_label("Find")
    for text, found in (
        ("", names),
        ("USER", ("user_ranking", "users")),
        ("  shop ", ("Shop_Revenue",)),
        ("<img", (HOSTILE,)),
        ("_weekly", names),
        (".*", ()),
    ):
        find.fill(text)
        expect(names_shown(site)).to_have_text(list(found))
        expect(site.page.get_by_text("No matching reports")).to_have_count(0 if found else 1)
    # What is looked for stays when the page gets the coverage anew.
    find.fill("shop")
    is_refreshed(site)
    expect(names_shown(site)).to_have_text(["Shop_Revenue"])
    asked = len(site.asked)
    find.press("Enter")  # which loads no other page
    site.barrier()
    expect(find).to_have_value("shop")
    assert len(site.asked) == asked


def test_what_is_looked_at_stays_in_its_place_when_the_coverage_is_drawn_anew(
    site: Site,
) -> None:
    names = [f"r{number:02}_daily" for number in range(30)]
    days = list(DAYS.between(NOW - timedelta(days=61), NOW - timedelta(days=1)))
    cells = [row(day) for day in days]
    site.put_reports(*(report(*cells, dag_id=name, cadence="daily") for name in names))
    site.page.set_viewport_size({"width": 600, "height": 700})
    site.open()
    scroller = site.page.locator(".scroller")
    # At first the newest periods are shown.
    expect(site.cell(days[-1], names[0])).to_be_in_viewport(ratio=1)
    expect(site.cell(days[0], names[0])).not_to_be_in_viewport()
    first = site.page.get_by_role("rowheader").nth(20)
    first.scroll_into_view_if_needed()
    scroller.evaluate("(element) => { element.scrollLeft = 100; }")
    before = scroller.evaluate("(element) => [element.scrollLeft, element.scrollTop]")
    assert before[0] == 100
    assert before[1] > 0
    # The names and the axis stay in sight.
    expect(first).to_be_in_viewport(ratio=1)
    expect(site.page.locator(".axis .name")).to_be_in_viewport(ratio=1)
    is_refreshed(site)
    expect(first).to_be_in_viewport(ratio=1)
    assert scroller.evaluate("(element) => [element.scrollLeft, element.scrollTop]") == before


def test_one_period_can_be_tabbed_to_and_it_is_that_which_had_the_focus_last(site: Site) -> None:
    site.show(
        report(*(row(week) for week in WEEK[-4:]), dag_id="first_weekly"),
        report(*(row(week) for week in WEEK[-4:])),
    )
    tabbed = site.page.locator(".cell[tabindex='0']")
    expect(tabbed).to_have_attribute("data-key", f"{DAG_ID}/{LAST.id}")
    cell = site.cell(WEEK[-3], "first_weekly")
    cell.focus()
    tip = site.page.get_by_role("tooltip")
    expect(tip).to_contain_text(f"first, week {WEEK[-3].id}")
    expect(cell).to_have_attribute("aria-describedby", "tip")
    expect(tabbed).to_have_attribute("data-key", f"first_weekly/{WEEK[-3].id}")
    is_refreshed(site)
    expect(cell).to_be_focused()
    expect(tabbed).to_have_attribute("data-key", f"first_weekly/{WEEK[-3].id}")
    site.page.get_by_label("Find").focus()
    expect(tip).to_be_hidden()
    is_refreshed(site)
    expect(site.page.get_by_label("Find")).to_be_focused()
    expect(tabbed).to_have_attribute("data-key", f"first_weekly/{WEEK[-3].id}")


def test_a_period_that_is_not_over_is_shown_as_a_whole(site: Site) -> None:
    """As one that somebody has triggered before its time."""
    this_week = LAST.next
    assert this_week.end_utc > NOW
    site.show(report(row(LAST), row(this_week, State.RUNNING, State.MISSING)))
    width = width_of(site.cell(LAST))
    assert width_of(site.cell(this_week)) == pytest.approx(width, abs=0.1)
    expect(site.cell(this_week)).to_be_in_viewport(ratio=1)
    track = site.page.locator(".track").last
    end = x_of(track) + width_of(track)
    assert x_of(site.cell(this_week)) + width + 2 == pytest.approx(end, abs=1)


@pytest.mark.parametrize("timezone", ["America/Los_Angeles", "Pacific/Kiritimati"])
def test_months_are_named_where_they_begin_wherever_the_viewer_is(
    browser: Browser, files: dict[str, tuple[bytes, dict[str, str]]], timezone: str
) -> None:
    months = list(MONTHS.between(WEEK[-10].start_utc, LAST.start_utc))
    assert len(months) == 2
    monthly = report(*map(row, months), dag_id="months_monthly", cadence="monthly")
    with opened_site(browser, files, timezone) as site:
        site.show(report(*map(row, WEEK)), monthly)
        x_before_last = x_of(site.cell(WEEK[-2]))
        day_width = (x_of(site.cell(WEEK[-1])) - x_before_last) / 7
        shown = {tick.inner_text(): x_of(tick) for tick in site.page.locator(".tick").all()}
        for month in months:
            first = month.first_date
            name = f"{first:%Y}" if first.month == 1 else f"{first:%b}"
            days = (first - WEEK[-2].first_date).days
            assert shown[name] == pytest.approx(x_before_last + days * day_width, abs=0.3)
            assert shown[name] == pytest.approx(x_of(site.cell(month, "months_monthly")), abs=0.3)


def box_of(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


def x_of(locator: Locator) -> float:
    return box_of(locator)["x"]


def width_of(locator: Locator) -> float:
    return box_of(locator)["width"]


STATES_AND_DOT: list[tuple[list[State], str | None]] = [
    ([State.PUBLISHED], None),
    ([State.RUNNING, State.MISSING], None),
    ([State.FAILED, State.MISSING], None),
    ([State.PROVISIONAL, State.PUBLISHED], None),
    ([State.RUNNING, State.FAILED, State.MISSING], "failed"),
    ([State.STALE, State.OUTDATED, State.PUBLISHED], "outdated"),
    ([*State], "failed"),
    ([*State][1:], "broken"),
]


def test_the_first_state_is_drawn_and_all_are_named(site: Site) -> None:
    weeks = WEEK[-len(STATES_AND_DOT) :]
    site.show(
        report(*(row(week, *case[0]) for week, case in zip(weeks, STATES_AND_DOT, strict=True)))
    )
    legend = site.page.get_by_label("Legend").locator("span").all()[:-1]
    meanings = {entry.inner_text(): entry.get_attribute("title") for entry in legend}
    assert list(meanings) == list(State)
    tip = site.page.get_by_role("tooltip").locator("li")
    for week, (states, also) in zip(weeks, STATES_AND_DOT, strict=True):
        cell = site.cell(week)
        expect(cell).to_have_attribute("data-state", states[0])
        assert cell.get_attribute("data-also") == also
        expect(cell).to_have_attribute(
            "aria-label", f"{DAG_ID}, week {week.id}: {', '.join(states)}"
        )
        cell.hover()
        expect(tip).to_have_count(len(states))
        marks = tip.locator(".mark").all()
        assert [mark.get_attribute("data-state") for mark in marks] == states
        assert tip.all_inner_texts() == [meanings[state] for state in states]


LOOK = """(mark) => {
    const own = getComputedStyle(mark);
    const shape = getComputedStyle(mark, "::before");
    const colour = own.borderTopStyle === "none" ? own.backgroundColor : own.borderTopColor;
    return [colour, own.borderTopStyle, shape.display, shape.clipPath];
}"""


def test_a_cell_looks_like_its_state_in_the_legend_and_like_no_other(site: Site) -> None:
    weeks = WEEK[-len(State) :]
    site.show(report(*(row(week, s) for week, s in zip(weeks, State, strict=True))))
    colours, shapes = set(), set()
    for week, state in zip(weeks, State, strict=True):
        colour, *shape = site.cell(week).evaluate(LOOK)
        mark = site.page.get_by_label("Legend").locator(f'.mark[data-state="{state}"]')
        assert mark.evaluate(LOOK) == [colour, *shape]
        colours.add(colour)
        shapes.add(tuple(shape))
    assert len(colours) == len(shapes) == len(State)


def test_keys_move_among_the_periods_and_to_those_of_the_same_time(site: Site) -> None:
    """A row has its own periods, and up and down lead past one that has none."""
    others = [WEEK[-1], WEEK[-4]]
    site.show(
        report(*(row(week) for week in others[::-1]), dag_id="above_weekly"),
        report(dag_id="between_weekly", note="Nothing is published yet"),
        report(*(row(week) for week in WEEK[-4:])),
    )
    site.page.evaluate(
        "addEventListener('keydown', (event) => { document.title = event.defaultPrevented; })"
    )
    site.cell(WEEK[-2]).focus()
    for key, period, dag_id in (
        ("ArrowLeft", WEEK[-3], DAG_ID),
        ("Home", WEEK[-4], DAG_ID),
        ("ArrowLeft", WEEK[-4], DAG_ID),
        ("ArrowUp", WEEK[-4], "above_weekly"),
        ("ArrowRight", WEEK[-1], "above_weekly"),
        ("ArrowDown", WEEK[-1], DAG_ID),
        ("ArrowLeft", WEEK[-2], DAG_ID),
        ("End", WEEK[-1], DAG_ID),
        ("ArrowDown", WEEK[-1], DAG_ID),
    ):
        site.page.keyboard.press(key)
        expect(site.cell(period, dag_id)).to_be_focused()
        assert site.page.title() == "true", "it scrolls nothing"
    site.page.keyboard.press("a")
    assert site.page.title() == "false"
    expect(site.page.get_by_role("tooltip")).to_be_visible()
    site.page.keyboard.press("Escape")
    expect(site.page.get_by_role("tooltip")).to_be_hidden()
    site.page.keyboard.press(" ")
    expect(site.page.get_by_role("heading", name=f"weekly {WEEK[-1].id}")).to_be_visible()


def test_no_reports_are_explained(site: Site) -> None:
    site.put_reports()
    stop_clock(site)
    site.open()
    expect(site.page.get_by_role("heading", name="No reports")).to_be_visible()
    site.put_reports(report(row(LAST)))
    site.page.clock.run_for(POLL_MS)
    expect(site.cell(LAST)).to_be_visible()


def test_the_tooltip_of_a_period_tells_what_is_published(site: Site) -> None:
    site.show(
        report(
            row(WEEK[-4], State.RUNNING, State.MISSING, waits="Waits for its input."),
            row(WEEK[-3], earlier=1, rows=1, bytes=999, price_usd=None),
            row(WEEK[-2], State.MISSING),
            row(LAST, State.BROKEN, State.WARNED, rows=10**18, bytes=1_234_567, earlier=2)._replace(
                broken=HOSTILE, published_at="2026-05-05T15:30:00+00:00"
            ),
        )
    )
    tip = site.page.get_by_role("tooltip")
    site.cell(LAST).hover()
    assert tip.locator("div").all_inner_texts() == [
        "1,000,000,000,000,000,000 rows, 1.23 MB",
        "published 6 May 2026, 00:30 GMT+9",
        "version v1, 2 earlier versions",
        "48 MB scanned for $0.24",
        HOSTILE,
    ]
    site.cell(WEEK[-2]).hover()
    expect(tip.locator("li")).to_have_text(["Nothing is published"])
    expect(tip.locator("div")).to_have_count(0)
    site.cell(WEEK[-3]).hover()
    lines = tip.locator("div")
    expect(lines.first).to_have_text("1 row, 999 B")
    assert lines.all_inner_texts()[2:] == ["version v1, 1 earlier version", "48 MB scanned"]
    site.cell(WEEK[-4]).hover()
    expect(lines).to_have_text(["Waits for its input."])
    site.page.keyboard.press("Escape")
    site.page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


def test_a_period_that_the_tooltip_covers_can_be_clicked(site: Site) -> None:
    week = WEEK[-8]
    site.put_reports(report(row(week), dag_id="above_weekly"), report(row(week), row(LAST)))
    site.put_period(answer(manifest(week)))
    site.open()
    site.cell(week, "above_weekly").hover()
    tip = site.page.get_by_role("tooltip")
    expect(tip).to_contain_text(f"above, week {week.id}")
    covering, covered = box_of(tip), box_of(site.cell(week))
    assert covering["x"] <= covered["x"]
    assert covering["y"] < covered["y"] < covering["y"] + covering["height"]
    site.cell(week).click()
    expect(site.page.get_by_role("heading", level=2)).to_have_text(f"scores weekly {week.id}")
    expect(tip).to_be_hidden()


def test_the_tooltip_lies_beside_its_period_and_within_the_window(site: Site) -> None:
    names = [f"r{number}_weekly" for number in range(12)]
    site.show(*(report(row(WEEK[-8]), row(LAST), dag_id=name) for name in names))
    tip = site.page.get_by_role("tooltip")
    for name in (names[0], names[-1]):
        for week in (WEEK[-8], LAST):
            cell = site.cell(week, name)
            cell.hover()
            expect(tip).to_contain_text(f"{name.removesuffix('_weekly')}, week {week.id}")
            expect(tip).to_be_in_viewport(ratio=1)
            box, own = box_of(tip), box_of(cell)
            assert box["y"] > own["y"] + own["height"] or box["y"] + box["height"] < own["y"]
            assert box["x"] <= own["x"] + own["width"]
            assert own["x"] <= box["x"] + box["width"]


# Fill the holes


def open_form(site: Site, *answers: Any) -> Locator:
    """Open the form of a report, whose plans are answered by these."""
    if answers:
        site.put(f"dags/{DAG_ID}/plan", *answers)
        site.open()
    site.page.get_by_role("button", name=f"Fill the gaps in {DAG_ID}").click()
    return site.page.get_by_role("dialog", name=f"Fill {DAG_ID}")


def click_twice(button: Locator) -> None:
    """Click a second time before anything is answered, as an impatient viewer does."""
    button.evaluate("(button) => { button.click(); button.click(); }")


def test_the_focus_is_back_on_the_button_that_opened_the_form(site: Site) -> None:
    site.put_reports(report(*(row(week, State.MISSING) for week in WEEK[-4:])))
    form = open_form(site, plan(trigger(LAST)))
    expect(form.get_by_role("button", name="Start")).to_be_enabled()
    is_refreshed(site)  # which draws the button anew
    site.page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    expect(site.page.get_by_role("button", name="Fill the gaps")).to_be_focused()


def test_an_old_plan_never_replaces_that_of_a_newer_choice(site: Site) -> None:
    site.put_reports(report(*(row(week, State.MISSING) for week in WEEK[-4:])))
    path = f"dags/{DAG_ID}/plan"
    site.open()
    slow = site.hold(path)
    form = open_form(site)
    slow.wait()
    start = form.get_by_role("button", name="Start")
    expect(start).to_be_disabled()
    form.evaluate("(dialog) => dialog.querySelector('form').requestSubmit()")
    failing = site.hold(path)
    form.get_by_label("First period").select_option(WEEK[-2].id)
    failing.wait()
    assert site.posts == [], "it waits for the plan of the present choice"
    site.put(path, plan(trigger(WEEK[-1])))
    form.get_by_label("First period").select_option(WEEK[-1].id)
    shown = form.locator(".summary")
    expect(shown).to_contain_text(f"1 run triggered: {WEEK[-1].id}.")

    slow.reply(plan(*(trigger(week) for week in WEEK[-4:])))
    failing.reply(Refusal.of(502, "Glue does not answer"))
    expect(shown).to_contain_text(f"1 run triggered: {WEEK[-1].id}.")
    expect(shown).not_to_contain_text("Glue")
    site.put(f"/api/v2/dags/{DAG_ID}/dagRuns", {})
    start.click()
    expect(form.locator(".done li").first).to_have_text(f"{WEEK[-1].id}: run triggered.")
    assert [post.body["dag_run_id"] for post in site.posts] == [f"fill__{WEEK[-1].id}"]


def test_a_plan_says_which_periods_wait_for_which_parts(site: Site) -> None:
    site.put_reports(report(*(row(week, State.MISSING) for week in WEEK)))
    held = [
        HeldPeriod(WEEK[-2].id, "days_daily", ["2025-06-02", "2025-06-03"]),
        HeldPeriod(WEEK[-1].id, "days_daily", [f"2025-06-{day:02d}" for day in range(8, 15)]),
    ]
    summary = open_form(site, plan(trigger(WEEK[-3]), held=held)).locator(".summary")
    waits = [
        f"{WEEK[-2].id} must wait: first fill 2 periods of days_daily (2025-06-02, 2025-06-03).",
        f"{WEEK[-1].id} must wait: first fill 7 periods of days_daily (2025-06-08 to 2025-06-14).",
    ]
    expect(summary.locator("li")).to_have_text([f"1 run triggered: {WEEK[-3].id}.", *waits])


def test_start_sends_what_the_plan_says_in_its_order_and_reads_the_coverage_anew(
    site: Site,
) -> None:
    cells = [row(week, State.MISSING) for week in WEEK[-4:-1]]
    site.put_reports(report(*cells, row(LAST, State.STALE, State.PUBLISHED)))
    starts = [trigger(WEEK[-4]), trigger(WEEK[-3]), clear(LAST)]
    for start in starts:
        site.put(f"/api/v2/{start.path}", {})
    form = open_form(site, plan(*starts))
    summary = form.locator(".summary")
    expect(summary.locator("strong")).to_have_text("3 runs")
    triggered = f"2 runs triggered, earliest first: {WEEK[-4].id}, {WEEK[-3].id}."
    expect(summary.locator("li")).to_have_text([f"1 run cleared: {LAST.id}.", triggered])
    assert form.locator("code.copy").all_inner_texts() == list(plan().backfill)
    boxes = form.get_by_role("checkbox").all()
    asked = site.times("coverage")
    site.put_reports(report(*(row(week, State.RUNNING, State.MISSING) for week in WEEK[-4:])))
    click_twice(form.get_by_role("button", name="Start"))
    started = [f"{week.id}: run triggered." for week in WEEK[-4:-2]]
    expect(summary.locator("li")).to_have_text(
        [*started, f"{LAST.id}: run cleared.", "See the runs in Airflow"]
    )
    assert site.posts == [Post(start.path, start.body) for start in starts]
    # Another choice would replace what is told of the runs.
    expect(form.locator("select:disabled, input:disabled")).to_have_count(2 + len(boxes))
    expect(form.get_by_role("button", name="Start")).to_have_count(0)
    runs = form.get_by_role("link", name="See the runs")
    expect(runs).to_have_attribute("href", f"http://airflow.test/dags/{DAG_ID}/runs")
    expect(site.cell(LAST)).to_have_attribute("data-state", "running")
    assert site.times("coverage") == asked + 1
    form.get_by_role("button", name="Close").click()
    expect(form).to_be_hidden()


def test_start_ends_with_the_first_run_that_is_refused(site: Site) -> None:
    site.put_reports(report(*(row(week, State.MISSING) for week in WEEK[-4:])))
    starts = [trigger(week) for week in WEEK[-4:]]
    conflict = {"reason": "Unique constraint violation", "message": "See the log."}
    site.put(f"/api/v2/{starts[0].path}", {}, Refusal.of(409, conflict), {})
    form = open_form(site, plan(*starts))
    form.get_by_role("button", name="Start").click()
    told = "Unique constraint violation: See the log. Only the runs listed above were started."
    started = f"{WEEK[-4].id}: run triggered."
    expect(form.locator(".done li")).to_have_text([started, told, "See the runs in Airflow"])
    assert site.posts == [Post(start.path, start.body) for start in starts[:2]]


def test_the_form_asks_for_the_range_and_the_states_that_are_chosen(site: Site) -> None:
    shown = [
        row(WEEK[-6]),
        row(WEEK[-5], State.MISSING),
        row(WEEK[-4], State.OUTDATED, State.PUBLISHED),
        row(WEEK[-3], State.FAILED, State.MISSING),
        row(WEEK[-2], State.RUNNING, State.MISSING),
        row(WEEK[-1], State.PROVISIONAL, State.PUBLISHED),
    ]
    site.put_reports(report(*shown, is_paused=True))
    form = open_form(site, plan(trigger(WEEK[-5]), scanned_bytes=None, price_usd=None))
    summary = form.locator(".summary")
    expect(summary).to_contain_text("The scan cannot be estimated")
    expect(summary).to_contain_text("The DAG is paused")

    def is_asked(first: int, last: int, *states: State) -> None:
        site.barrier()
        query = f"first={WEEK[first].id}&last={WEEK[last].id}"
        query += "".join(f"&state={state}" for state in states)
        assert site.asked[-1] == f"dags/{DAG_ID}/plan?{query}"

    is_asked(-5, -2, *OPEN_STATES)
    expect(form.get_by_label("First period")).to_have_value(WEEK[-5].id)
    expect(form.get_by_label("Last period")).to_have_value(WEEK[-2].id)
    others = ["outdated", "partial", "empty", "provisional"]
    expect(form.locator("fieldset label")).to_have_text([*OPEN_STATES, *others])
    form.get_by_label("Last period").select_option(WEEK[-1].id)
    is_asked(-5, -1, *OPEN_STATES)
    form.get_by_label("First period").select_option(WEEK[-3].id)
    for state in OPEN_STATES[:-1]:
        form.get_by_label(state, exact=True).uncheck()
    form.get_by_label("outdated", exact=True).check()
    is_asked(-3, -1, State.STALE, State.OUTDATED)
    asked = len(site.asked)
    form.get_by_label("outdated", exact=True).uncheck()
    form.get_by_label("stale", exact=True).uncheck()
    expect(summary).to_have_text("Select at least one state.")
    expect(form.get_by_role("button", name="Start")).to_be_disabled()
    site.barrier()
    assert len(site.asked) == asked + 1  # without `outdated`; without any state nothing is asked


# The page as a whole


TOPICS = ("basket", "carrier", "churn", "device", "funnel", "margin", "ranking", "refund")
SHOPS = [f"shop_{number:02}" for number in range(25)]


def test_a_page_loads_the_rows_in_view_and_then_those_that_are_scrolled_to(site: Site) -> None:
    names = [f"{topic}_of_{shop}_weekly" for topic in TOPICS for shop in SHOPS]
    odd = [State.FAILED, State.MISSING, State.WARNED, State.STALE, State.PARTIAL, State.OUTDATED]

    def cells(number: int) -> list[PeriodRow]:
        made = [row(week) for week in WEEK]
        state = odd[number % len(odd)]
        if number % 4 == 3:
            made[-3 - number % 9] = row(WEEK[-3 - number % 9], state)
        return [*made[:-1], row(LAST, State.PROVISIONAL, State.PUBLISHED)]

    reports = [report(*cells(number), dag_id=name) for number, name in enumerate(names)]
    site.show(*reports)
    status = site.page.get_by_role("status")
    as_of = re.compile(r"^As of 12:00:\d\d GMT\+9; \d+ of 200 reports loaded")
    expect(status).to_contain_text(as_of)
    expect(site.cell(LAST, names[0])).to_be_visible()
    SCREENSHOTS.take(site.page, "page-many-reports", "light")
    expect(site.cell(LAST, names[-1])).to_have_count(0)
    assert names[-1] not in "".join(site.asked)
    site.page.get_by_role("rowheader").last.scroll_into_view_if_needed()
    expect(site.cell(LAST, names[-1])).to_be_visible()
    # To find what needs attention, all are loaded.
    site.put_reports(*(report(row(LAST), dag_id=name) for name in names))
    failed = row(LAST, State.FAILED, State.MISSING, run_id="scheduled__2026-05-03")
    site.put_news(report(failed, dag_id=names[30]))
    site.open()
    site.page.get_by_label("Only periods that need attention").check()
    expect(names_shown(site)).to_have_text([names[30].removesuffix("_weekly")])
    site.cell(LAST, names[30]).click()
    expect(site.page.locator(".period")).to_have_text(
        "The last run failed. See the log of the run in Airflow."
    )
    site.page.set_viewport_size({"width": 1440, "height": 220})
    SCREENSHOTS.take(site.page, "page-failed", "light")


def test_an_open_page_asks_for_what_has_changed_unless_it_is_hidden(site: Site) -> None:
    site.put_reports(report(row(LAST, State.MISSING)), report(row(LAST), dag_id="other_weekly"))
    stop_clock(site)
    site.open()
    asked = site.times("coverage")
    set_hidden(site, True)
    site.page.clock.run_for(20 * POLL_MS)
    assert site.times("coverage") == asked
    set_hidden(site, False)
    site.put("coverage", Refusal.of(502, "Glue does not answer"))
    site.page.clock.run_for(POLL_MS)
    expect(site.page.get_by_role("status")).to_have_text("Glue does not answer")
    expect(site.cell(LAST)).to_be_visible()
    # To scroll among rows that are known asks for nothing, and so it replaces no error.
    site.page.locator(".scroller").dispatch_event("scroll")
    site.page.clock.run_for(100)
    expect(site.page.get_by_role("status")).to_have_text("Glue does not answer")
    site.put("coverage")
    site.put_news(report(row(LAST)))
    site.barrier()
    site.page.clock.run_for(POLL_MS)
    expect(site.cell(LAST)).to_have_attribute("data-state", "published")
    expect(site.page.get_by_role("status")).to_have_text(re.compile("^As of"))
    assert site.asked[-1].count("known=") == 2


def test_counts_have_each_period_once_and_a_report_in_need_of_attention_is_found(
    site: Site,
) -> None:
    site.show(
        report(row(LAST), dag_id="troubled_weekly", problems=[HOSTILE, "second"]),
        report(dag_id="noted_weekly", note="No table."),
        report(
            *(row(week, State.MISSING) for week in WEEK[-3:]),
            row(WEEK[-5], State.STALE, State.PUBLISHED),
            row(WEEK[-6], State.FAILED, State.MISSING),
            row(WEEK[-7], State.RUNNING, State.MISSING),
            dag_id="holes_weekly",
            is_paused=True,
        ),
        report(row(LAST, State.WARNED, State.PUBLISHED), dag_id="whole_weekly"),
    )
    headers = site.page.get_by_role("rowheader")
    counts = headers.filter(has_text="holes").locator(".count")
    expect(counts).to_have_text(["3 missing", "1 failed", "1 stale"])
    problem = headers.filter(has_text="troubled").locator(".row-problem")
    expect(problem).to_have_text(HOSTILE)
    expect(problem).to_have_attribute("title", f"{HOSTILE}\nsecond")
    expect(headers.filter(has_text="noted")).to_contain_text("No table.")
    expect(headers.filter(has_text="whole")).to_contain_text("Weekly from Sunday, Asia/Tokyo")
    expect(headers.locator(".paused")).to_have_count(1)
    site.page.get_by_label("Only periods that need attention").check()
    expect(names_shown(site)).to_have_text(["troubled", "holes"])
    assert site.page.locator("main img").count() == 0


def test_a_new_failure_of_a_report_that_is_hidden_shows_it(site: Site) -> None:
    names = [f"report_{number:02}_weekly" for number in range(25)]
    site.put_reports(*(report(row(LAST), dag_id=name) for name in names))
    stop_clock(site)
    site.open()
    site.page.get_by_label("Only periods that need attention").check()
    expect(site.page.get_by_text("No matching reports")).to_be_visible()
    site.settle()
    site.put_news(report(row(LAST, State.FAILED, State.PUBLISHED), dag_id=names[-1]))
    site.page.clock.run_for(POLL_MS)
    expect(names_shown(site)).to_have_text([names[-1].removesuffix("_weekly")])


@pytest.mark.parametrize(
    ("text", "days_before"), [("2025-11-16", 0), ("2025-11", 15), ("2025-Q4", 46), ("2024", 685)]
)
def test_go_to_takes_a_date_or_a_period_and_widens_the_range_as_needed(
    site: Site, text: str, days_before: int
) -> None:
    weeks = WEEKS.between(WEEK[0].start_utc - timedelta(weeks=120), NOW - timedelta(weeks=1))
    site.page.set_viewport_size({"width": 400, "height": 900})  # too narrow for half a year
    site.show(report(*(row(week) for week in weeks)))
    go_to = site.page.get_by_label("Go to")
    go_to.fill("November")
    go_to.press("Enter")
    assert go_to.evaluate("(input) => input.validationMessage").startswith("Enter a date or a")
    go_to.fill(text)
    go_to.press("Enter")
    wanted = WEEKS.period("2025-11-16").start_utc + timedelta(days=1 - days_before)
    expect(site.cell(WEEKS.containing(wanted))).to_be_in_viewport()
    enough = next(days for days in (183, 366, 731, 1_827) if NOW - wanted < timedelta(days=days))
    expect(site.page.get_by_label("Show")).to_have_value(str(enough))


def test_a_report_that_ended_long_ago_opens_on_its_last_periods(site: Site) -> None:
    old = WEEKS.period("2024-03-03")
    ended = report(
        row(old.previous), row(old), dag_id="old_weekly", until=old.last_date.isoformat()
    )
    site.show(ended, report(row(LAST)))
    expect(site.cell(old, "old_weekly")).to_have_count(0)
    expect(site.page.get_by_text("Ended on 2024-03-09")).to_be_visible()
    site.page.get_by_label("Find").fill("old")
    expect(site.cell(old, "old_weekly")).to_be_in_viewport(ratio=1)


def test_history_has_a_time_axis_and_opens_by_the_measure_that_is_ranked(site: Site) -> None:
    columns = (column("user_id"), column("plays", "BIGINT"), column("score", "BIGINT"))
    periods = [WEEK[-9], WEEK[-2], LAST]
    shown = history(periods, ["u1"], plays=[("1", "2", "3")], score=[("4", "5", "6")])
    rows = [("u1", "3", "6"), ("u2", "9", "5")]
    site.put_period(answer(manifest(LAST, rows=2, columns=columns), rows), shown)
    site.open(LINK)
    chart = site.section("History").locator('svg[aria-label="Line chart of score over 3 periods"]')
    expect(chart).to_be_visible()
    expect(site.section("2 rows").get_by_label("By")).to_have_value("score")
    dots = chart.locator("circle").evaluate_all("(dots) => dots.map((dot) => dot.cx.baseVal.value)")
    assert dots[2] - dots[0] == pytest.approx(8 * (dots[2] - dots[1]))
    expect(chart.locator(".tick")).to_have_text([WEEK[-9].id, LAST.id])


@pytest.mark.parametrize("way", ["by a link", "from the coverage"])
def test_a_shown_period_that_is_published_again_is_drawn_anew(site: Site, way: str) -> None:
    running = row(LAST, State.RUNNING, State.PUBLISHED)
    site.put_reports(report(running))
    stop_clock(site)
    if way == "by a link":
        site.open(LINK)
    else:
        site.open()
        site.cell(LAST).click()
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")
    expect(site.section("1 row").locator("td").last).to_have_text("7")
    path = period_path(LAST.id)
    assert site.times(path) == 1

    # The run goes on: nothing is loaded again.
    asked = site.times("coverage")
    site.page.clock.run_for(POLL_MS)
    assert site.times("coverage") == asked + 1
    site.barrier()
    assert site.times(path) == 1

    site.put_reports(report(row(LAST, version="v2", rows=2)))
    again = manifest(LAST, version="v2", rows=2, earlier_versions=(earlier_version("v1", None),))
    site.put_period(answer(again, [("u1", "8"), ("u2", "9")]))
    site.page.clock.run_for(POLL_MS)
    expect(site.page.locator(".chips")).to_have_text("published")
    expect(site.section("2 rows").locator("td")).to_have_text(["u1", "8", "u2", "9"])
    expect(site.section("Versions").locator("tbody tr")).to_have_count(2)
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v2")
    assert site.times(path) == 2


def test_news_of_another_period_draws_nothing_of_the_shown_one_anew(site: Site) -> None:
    site.put_reports(report(row(WEEK[-2], State.RUNNING, State.MISSING), row(LAST)))
    stop_clock(site)
    site.open(LINK)
    heading = site.page.locator(".heading")
    expect(heading.locator(".chips")).to_have_text("published")
    site.barrier()
    heading.evaluate("(heading) => { heading.dataset.drawn = 'once'; }")
    site.put_reports(report(row(WEEK[-2]), row(LAST)))
    asked = site.times("coverage")
    site.page.clock.run_for(POLL_MS)
    assert site.times("coverage") == asked + 1
    site.barrier()
    expect(heading).to_have_attribute("data-drawn", "once")


def test_a_link_shows_its_period_before_the_coverage_is_known(site: Site) -> None:
    site.put_reports(report(row(WEEK[-2]), row(LAST, State.OUTDATED, State.PUBLISHED)))
    stop_clock(site)
    held = site.hold("reports")
    site.page.goto(f"{BASE}{LINK}")
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")
    expect(site.page.locator(".chip")).to_have_count(0)
    expect(site.page.get_by_role("status")).to_have_text("Loading\u2026")
    held.pass_on()
    expect(site.page.locator(".chip")).to_have_text(["outdated", "published"])
    meaning = "Published with different SQL, params or transforms"
    expect(site.page.locator(".chip").first).to_have_attribute("title", meaning)
    expect(site.page.get_by_role("button", name="Run again")).to_be_visible()
    site.barrier()
    assert len(site.asked) == len(set(site.asked)), "each thing is asked for once"


def test_a_link_to_what_turns_out_to_be_unpublished_says_so(site: Site) -> None:
    site.put_reports(report(row(LAST, State.MISSING)))
    site.put(period_path(LAST.id), Refusal.of(404, "There is no manifest."))
    site.open(LINK)
    expect(site.page.locator(".period")).to_have_text(NOTHING_PUBLISHED)


@pytest.mark.parametrize("way", ["by a link", "from the coverage"])
def test_an_address_that_is_broken_does_not_end_the_page(site: Site, way: str) -> None:
    site.put_reports(report(row(LAST, State.RUNNING, State.PUBLISHED)))
    for dag_id in (DAG_ID, "100%", "%E0%A4%A"):
        for period_id in ("100%25", "2026-05-03", "x"):
            site.put(period_path(period_id, dag_id), Refusal.of(404, "There is no such period."))
    stop_clock(site)
    for hash in ("#100%", "#100%/2026-05-03", f"#{DAG_ID}/100%", "#%E0%A4%A/x"):
        if way == "by a link":
            site.open(hash)
        else:
            site.open()
            site.go_to(hash)
        if "/" in hash:
            expect(site.page.get_by_role("alert")).to_have_text("There is no such period.")
        # The way back leads to the reports.
        site.page.get_by_role("link", name="Reports", exact=True).click()
        site.cell(LAST).click()
        expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")


def test_an_address_without_a_period_shows_all_reports(site: Site) -> None:
    for hash in ("", "#", f"#{DAG_ID}", f"#{DAG_ID}/", f"#/{LAST.id}"):
        site.open(hash)
        expect(site.cell(LAST)).to_be_visible()
        assert site.page.title() == "Reports"


def test_the_way_there_and_back_follows_the_address(site: Site) -> None:
    names = ("sch\u00f6n & gut.1_weekly", "a#b?c_weekly")
    site.put_reports(*(report(row(WEEK[-2]), row(LAST), dag_id=name) for name in names))
    for name in names:
        for week in WEEK[-2:]:
            site.put_period(answer(manifest(week)), dag_id=name)
    site.open()
    for name in names:
        site.cell(LAST, name).click()
        heading = site.page.get_by_role("heading", level=2)
        expect(heading).to_have_text(f"{name.removesuffix('_weekly')} weekly {LAST.id}")
        assert site.page.title() == f"{name} {LAST.id}"
        expect(site.page.locator("main")).to_be_focused()  # as after another page is loaded
        site.page.get_by_role("link", name=f"Previous period: {WEEK[-2].id}").click()
        expect(heading).to_contain_text(WEEK[-2].id)
        expect(site.page.get_by_role("link", name="Previous period")).to_have_count(0)
        expect(site.section("SQL").locator("pre")).to_be_visible()
        site.page.go_back()
        expect(heading).to_contain_text(LAST.id)
        expect(site.page.get_by_role("link", name="Next period")).to_have_count(0)
        expect(site.section("SQL").locator("pre")).to_be_visible()
        site.page.get_by_role("link", name="All reports").click()
        expect(site.cell(LAST, name)).to_be_visible()
        assert site.page.title() == "Reports"


def test_the_oldest_period_of_the_coverage_leads_to_the_one_before(site: Site) -> None:
    site.show(report(*(row(week) for week in WEEK)))
    expect(site.cell(WEEK[0])).to_have_count(0)
    oldest = site.page.locator(".cell").first
    key = oldest.get_attribute("data-key") or ""
    week = WEEKS.period(key.partition("/")[2])
    site.put_period(answer(manifest(week)))
    oldest.click()
    before = site.page.get_by_role("link", name=f"Previous period: {week.previous.id}")
    expect(before).to_be_visible()
    assert site.times(period_path(week.id)) == 1


LATE = [answer(manifest(WEEK[-2], rows=5)), Refusal.of(403, "Not for you"), NO_NETWORK]


def test_an_answer_for_a_place_that_was_left_changes_nothing(site: Site) -> None:
    site.show(report(row(WEEK[-2]), row(LAST)))
    path = period_path(WEEK[-2].id)
    for late in LATE:
        for place in ("", LINK):
            held = site.hold(path)
            site.go_to(f"#{DAG_ID}/{WEEK[-2].id}")
            held.wait()
            site.go_to(place)
            shown = site.section("SQL").locator("pre") if place else site.cell(LAST)
            expect(shown).to_be_visible()
            held.reply(late)
            expect(shown).to_be_visible()
            expect(site.page.get_by_role("alert")).to_have_count(0)
            assert site.times(f"{path}/history") == 0


def test_the_page_is_as_light_or_dark_as_airflow(site: Site) -> None:
    root = site.page.locator("html")
    site.open()
    expect(root).to_have_attribute("data-theme", "system")
    colours = []
    for chosen, theme in (("dark", "dark"), ("light", "light"), ('"', "system")):
        site.page.evaluate("(theme) => localStorage.setItem('theme', theme)", chosen)
        site.page.evaluate("dispatchEvent(new Event('storage'))")
        expect(root).to_have_attribute("data-theme", theme)
        colours.append(site.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1] == colours[2]  # a browser is light unless it is told
    site.page.emulate_media(color_scheme="dark")
    expect(site.page.locator("body")).to_have_css("background-color", colours[0])
    site.page.evaluate("localStorage.setItem('theme', 'dark')")
    # A browser may refuse it to a frame.
    site.page.evaluate(
        "Object.defineProperty(window, 'localStorage', { get() { throw Error(); } })"
    )
    site.page.evaluate("dispatchEvent(new Event('storage'))")
    expect(root).to_have_attribute("data-theme", "system")


# One period


@pytest.mark.parametrize("may_run", [True, False])
def test_only_who_may_run_is_offered_to_run(site: Site, may_run: bool) -> None:
    names = {state: f"{state}_weekly" for state in State}
    site.show(*(report(row(LAST, state), dag_id=names[state], may_run=may_run) for state in State))
    fill = site.page.get_by_role("button", name="Fill the gaps in")
    expect(fill).to_have_count(len(OPEN_STATES) if may_run else 0)
    for state, dag_id in names.items():
        site.put_period(answer(manifest(LAST)), dag_id=dag_id)
        site.put(f"dags/{dag_id}/plan", plan(clear(LAST)))
        site.cell(LAST, dag_id).click()
        expect(site.page.locator(".chips")).to_have_text(state)
        offered = site.page.locator(".heading").get_by_role("button")
        if not may_run or state in (State.RUNNING, State.WARNED, State.PUBLISHED):
            expect(offered).to_have_count(0)
        else:
            label = "Fill\u2026" if state is State.MISSING else "Run again\u2026"
            expect(offered).to_have_text(label)
            offered.click()
            summary = site.page.get_by_role("dialog").locator(".summary")
            expect(summary).to_contain_text("1 run cleared")
            only = f"first={LAST.id}&last={LAST.id}&state={state}"
            assert f"dags/{dag_id}/plan?{only}" in site.asked
            site.page.keyboard.press("Escape")
        site.page.get_by_role("link", name="All reports").click()


def test_a_period_without_a_publication_leads_to_its_run(site: Site) -> None:
    cases = [
        ([State.MISSING], "", NOTHING_PUBLISHED),
        ([State.FAILED, State.MISSING], "a+b/c d", "The last run failed. See the log of"),
        ([State.RUNNING, State.MISSING], "a+b/c d", "A run is queued or running. See the log"),
    ]
    weeks = WEEK[-3:]
    cells = [row(weeks[place], *case[0], run_id=case[1]) for place, case in enumerate(cases)]
    cells[2] = cells[2]._replace(waits="Waits for its input since yesterday.")
    site.put_reports(report(*cells))
    stop_clock(site)
    site.open()
    for week, (_, run_id, text) in zip(weeks, cases, strict=True):
        site.cell(week).click()
        expect(site.page.locator(".period")).to_contain_text(text)
        waits = ["Waits for its input since yesterday."] if week is weeks[2] else []
        expect(site.page.locator(".heading .waits")).to_have_text(waits)
        link = site.page.get_by_role("link", name="Run in Airflow")
        expect(link).to_have_count(1 if run_id else 0)
        if run_id:
            address = f"http://airflow.test/dags/{DAG_ID}/runs/a%2Bb%2Fc%20d"
            expect(link).to_have_attribute("href", address)
        site.page.get_by_role("link", name="All reports").click()
        assert site.times(period_path(week.id)) == 0


def test_versions_tell_what_each_changed_against_the_one_before(site: Site) -> None:
    some = Difference(added=1_000, removed=2, changed=3_000)
    at = "2026-05-04T15:30:00+00:00"
    versions = (
        earlier_version("v3", Difference(added=1, removed=0, changed=0), provisional=True),
        earlier_version("v2", some, rows=1_234, published_at=at),
        earlier_version("v1", None, query=query(id="", price_usd=None), code_version=HOSTILE),
    )
    site.put_reports(report(row(LAST, version="v4")))
    site.put_period(answer(manifest(LAST, version="v4", rows=1, earlier_versions=versions)))
    site.open(LINK)
    lines = site.section("Versions").locator("tbody tr")
    expect(lines.locator("td:nth-child(1)")).to_have_text(["v4", "v3", "v2", "v1"])
    rows = lines.locator("td:nth-child(3)")
    expect(rows).to_have_text(["1", "1", "1,234", "1"])
    assert rows.first.evaluate("(cell) => getComputedStyle(cell).textAlign") == "right"
    expect(lines.nth(2).locator("td:nth-child(2)")).to_have_text("5 May 2026, 00:30 GMT+9")
    changes = ["1 row added, 0 removed", "1,000 rows added, 2 removed, 3,000 changed"]
    expect(lines.locator("td:nth-child(4)")).to_have_text([*changes, "unknown", "first version"])
    expect(lines.locator("td:nth-child(5)")).to_have_text(["current", "provisional", "", ""])
    expect(lines.locator("td:nth-child(6)")).to_have_text(["$0.24", "$0.24", "$0.24", DASH])
    codes = ["0.2.0, bundle 4f0c9d2", "0.1.0", "0.1.0", HOSTILE]
    expect(lines.locator("td:nth-child(7)")).to_have_text(codes)
    links = lines.locator("td:nth-child(8) a")
    expect(links).to_have_count(3)
    expect(links.first).to_have_attribute("href", f"{CONSOLE}3f1d9c52")
    assert site.page.locator("main img").count() == 0
    # Where Airflow knows no console of AWS, a query is named and not linked.
    described = manifest(LAST, version="v4", rows=1, earlier_versions=versions)
    site.put_period(answer(described, console=""))
    site.open(LINK)
    texts = ["3f1d9c52", "3f1d9c52", "3f1d9c52", ""]
    expect(lines.locator("td:nth-child(8)")).to_have_text(texts)
    expect(links).to_have_count(0)


def test_the_sql_of_the_version_that_was_chosen_last_is_shown(site: Site) -> None:
    versions = (earlier_version("v2", None), earlier_version("v1", None))
    site.put_reports(report(row(LAST, version="v3")))
    site.put_period(answer(manifest(LAST, version="v3", earlier_versions=versions)))
    path = f"{period_path(LAST.id)}/versions"
    site.put(f"{path}/v1/sql", {"sql": HOSTILE})
    first = site.hold(f"{path}/v3/sql")
    site.open(LINK)
    first.wait()
    second = site.hold(f"{path}/v2/sql")
    buttons = site.section("Versions").get_by_role("button")
    buttons.nth(1).click()
    second.wait()
    buttons.nth(2).click()
    sql = site.page.locator("section.card").last
    expect(sql.locator("h3")).to_have_text("SQL of the earlier version v1")
    first.reply({"sql": "SELECT v3"})
    second.reply(Refusal.of(502, "S3 does not answer"))
    expect(sql.locator("h3")).to_have_text("SQL of the earlier version v1")
    expect(sql.locator("pre")).to_have_text(HOSTILE)

    site.put(f"{path}/v2/sql", {"sql": None})
    buttons.nth(1).click()
    expect(sql).to_contain_text("The SQL is no longer stored.")
    site.put(f"{path}/v2/sql", Refusal.of(404, "There is no version v2."))
    buttons.nth(1).click()
    expect(sql.get_by_role("alert")).to_have_text("There is no version v2.")
    buttons.nth(0).click()
    expect(sql.locator("h3")).to_have_text("SQL")
    expect(sql.locator("pre")).to_have_text("SELECT v3")


def test_a_period_names_its_facts_files_columns_and_checks(site: Site) -> None:
    formats = {
        "csv": ("csv", "CSV, 2 kB"),
        "csv_for_spreadsheets": ("_for_spreadsheets.csv", "CSV for spreadsheets, 2 kB"),
        "parquet": ("parquet", "Parquet, 2 kB"),
        "jsonl": ("jsonl", "JSON Lines, 2 kB"),
    }
    usual = manifest(LAST).objects[0]
    checks = [check("a"), check("b", passed=False, severity="warn"), check("c", passed=False)]
    described = manifest(
        LAST,
        objects=tuple(usual.model_copy(update={"format": name}) for name in formats),
        columns=(column("user_id", description=HOSTILE), column("movement")),
        checks=tuple(checks),
        rows=4,
        published_at="2026-05-05T15:30:00+00:00",
        settles_at="2026-05-07T15:30:00+00:00",
    )
    moves = ["up 3", "down 1", "new", None]
    rows = list(zip([HOSTILE, "", None, "u4"], moves, strict=True))
    site.put_period(answer(described, rows))
    site.open(LINK)
    names = site.page.locator(".facts dt").all_inner_texts()
    texts = site.page.locator(".facts dd").all_inner_texts()
    assert dict(zip(names, texts, strict=True)) == {
        "Rows": "4",
        "Published": "6 May 2026, 00:30 GMT+9",
        "Version": "v1",
        "Period": f"{described.period.start} to {described.period.end}, Asia/Tokyo",
        "Scanned": "48 MB scanned for $0.24",
        "Query": "3f1d9c52",
    }
    to_query = site.page.locator(".facts").get_by_role("link", name="3f1d9c52")
    expect(to_query).to_have_attribute("href", f"{CONSOLE}3f1d9c52")
    expect(to_query).to_have_attribute("target", "_blank")
    expect(to_query).to_have_attribute("rel", "noopener noreferrer")
    links = site.page.locator(".downloads a")
    expect(links).to_have_text([*(text for _, text in formats.values()), "Manifest"])
    base = f"{DAG_ID}-{LAST.id}"
    named = [(link.get_attribute("href"), link.get_attribute("download")) for link in links.all()]
    path = f"api/{period_path(LAST.id)}"
    assert named == [
        (f"{path}/objects/csv", f"{base}.csv"),
        (f"{path}/objects/csv_for_spreadsheets", f"{base}_for_spreadsheets.csv"),
        (f"{path}/objects/parquet", f"{base}.parquet"),
        (f"{path}/objects/jsonl", f"{base}.jsonl"),
        (f"{path}/manifest", f"{base}.json"),
    ]
    marks = site.section("Checks").locator(".mark")
    states = [mark.get_attribute("data-state") for mark in marks.all()]
    assert states == ["published", "warned", "failed"]
    expect(site.section("Checks").locator("li")).to_have_text(
        ["a passed: message of a", "b warn: message of b", "c fail: message of c"]
    )
    expect(site.section("Columns").locator("th[scope=row]")).to_have_text(["user_id", "movement"])
    expect(site.section("Columns").locator("td code")).to_have_text(["varchar", "varchar"])
    expect(site.section("Columns").locator("td:last-child")).to_have_text([HOSTILE, ""])
    heads = site.section("4 rows").locator("thead th")
    assert [head.get_attribute("title") for head in heads.all()] == ["VARCHAR", "VARCHAR"]
    movements = site.section("4 rows").locator(".movement").all()
    shown = [cell.get_attribute("data-movement") for cell in movements]
    assert shown == ["up", "down", "new", ""]
    sign_before = "cell => getComputedStyle(cell, '::before').content"
    signs = [cell.evaluate(sign_before).strip('"') for cell in movements]
    triangles = ["\N{BLACK UP-POINTING TRIANGLE}", "\N{BLACK DOWN-POINTING TRIANGLE}"]
    assert signs == [*triangles, "+", DASH]
    users = site.section("4 rows").locator("tbody td:first-child")
    expect(users).to_have_text([HOSTILE, "", "NULL", "u4"])
    # Nothing is measured, so there is no chart.
    expect(site.section("4 rows").locator("svg")).to_have_count(0)
    assert site.page.locator("main img").count() == 0


def test_a_period_without_rows_or_with_unreadable_ones_is_shown(site: Site) -> None:
    site.put_reports(report(row(LAST, rows=0)))
    empty = manifest(LAST, rows=0, objects=(), columns=(), key=())
    site.put_period(answer(empty, []))
    site.open(LINK)
    expect(site.section("0 rows")).to_be_visible()
    expect(site.section("Checks")).to_contain_text("The report declares no checks.")
    expect(site.page.get_by_role("heading", name="Columns")).to_have_count(0)

    site.put_period(answer(manifest(LAST, rows=10**12), [], problem=HOSTILE))
    site.open(LINK)
    expect(site.section("Rows").get_by_role("alert")).to_have_text(HOSTILE)
    expect(site.page.locator(".facts dd").first).to_have_text("1,000,000,000,000")
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")


def test_a_period_that_cannot_be_read_keeps_its_heading(site: Site) -> None:
    site.put(period_path(LAST.id), Refusal.of(502, HOSTILE))
    site.open(LINK)
    expect(site.page.get_by_role("alert")).to_have_text(HOSTILE)
    expect(site.page.get_by_role("heading", level=2)).to_have_text(f"scores weekly {LAST.id}")
    site.page.get_by_role("link", name="All reports").click()
    expect(site.cell(LAST)).to_be_visible()


# Deliveries

DELIVERIES = f"{period_path(LAST.id)}/deliveries"
CLEAR = f"dags/{DELIVERING}/clearTaskInstances"
LOG = f"http://airflow.test/dags/{DELIVERING}/runs/asset%20triggered%2F1/tasks"


def open_deliveries(site: Site, *answers: Any, **described: Any) -> Locator:
    """Open a period that has deliveries, and return their section."""
    site.put_period(answer(manifest(LAST, **described)))
    site.put(DELIVERIES, *answers)
    site.open(LINK)
    return site.section("Deliveries")


def test_a_period_without_deliveries_has_no_such_section(site: Site) -> None:
    section = open_deliveries(site, NOTHING)
    expect(site.section("Checks")).to_be_visible()
    assert site.times(DELIVERIES) == 1
    expect(section).to_be_hidden()


def test_deliveries_are_shown_by_version_with_the_current_one_first(site: Site) -> None:
    channels = [channel("sales"), channel("board"), ChannelRow("new", None, None)]
    receipts = [
        receipt("sales", "v3", number=2, sent_at="2026-05-05T15:00:00+00:00"),
        # From here on the page is older than what went out.
        receipt("sales", "v4", corrects="v3", recipients=("x@example.com", "y@example.com")),
        receipt("gone", "v3", recipients=()),
        receipt("sales", "v3", corrects="v1", refused={"z@example.com": "550 5.1.1 unknown"}),
        receipt("board", "v1"),
        receipt("sales", "v1"),
    ]
    section = open_deliveries(site, deliveries(channels, receipts), version="v3")
    at, to = "4 May 2026, 12:30 GMT+9", "sales@example.com"  # in the viewer's time zone
    refused = "z@example.com was refused: 550 5.1.1 unknown"
    expect(section.locator("thead th")).to_have_text(["version", "channel", "sent", "to", "", ""])
    expect(section.locator("tbody tr")).to_have_count(8)
    assert lines_of(section) == [
        ["v3 current", "sales", "6 May 2026, 00:00 GMT+9", to, "message 2", "Send again\u2026"],
        ["v3 current", "sales", at, to, f"correction of v1\n{refused}", ""],
        ["v3 current", "board", "not sent", "", "", "Send\u2026"],
        ["v3 current", "new", "not sent", "", "", ""],
        ["v4", "sales", at, "x@example.com, y@example.com", "correction of v3", ""],
        ["v3 current", "gone", at, "", "", ""],
        ["v1", "board", at, "board@example.com", "", ""],
        ["v1", "sales", at, to, "", ""],
    ]
    expect(section.locator(".error")).to_have_text([refused])


TASKS = {
    "failed": "The task failed, try 3. Log",
    "upstream_failed": "The task failed, try 3. Log",
    "up_for_retry": "The task failed and will be retried, try 3. Log",
    "skipped": "The task is skipped, try 3. Log",
    None: "The task is waiting for Airflow, try 3. Log",
    "scheduled": "The task is waiting for Airflow, try 3. Log",
    "queued": "The task is waiting for a worker, try 3. Log",
    "restarting": "The task is restarting, try 3. Log",
    "running": "The task is sending, try 3. Log",
    "else": "The task is else, try 3. Log",
}


def test_a_task_that_has_not_succeeded_leads_to_its_log(site: Site) -> None:
    channels = [channel(f"to {state}", state, try_number=3) for state in TASKS]
    section = open_deliveries(site, deliveries([*channels, channel("new", "failed", try_number=0)]))
    notes = section.locator("tbody td:nth-child(5)")
    expect(notes).to_have_text([*TASKS.values(), "The task failed. Log"])
    expect(section.locator(".error")).to_have_count(4)
    links = section.get_by_role("link", name="Log")
    expect(links.first).to_have_attribute("href", f"{LOG}/to%20failed?try_number=3")
    expect(links.last).to_have_attribute("href", f"{LOG}/new")
    expect(section.get_by_role("button")).to_have_count(5)  # four can be cleared, and the last one


def test_receipts_that_cannot_be_read_are_told_and_the_rest_is_shown(site: Site) -> None:
    told = deliveries([channel("sales", "failed")], problem=HOSTILE, is_paused=True)
    section = open_deliveries(site, told)
    expect(section.get_by_role("alert")).to_have_text(HOSTILE)
    expect(section).to_contain_text(f"The DAG {DELIVERING} is paused: nothing is sent until")
    (line,) = lines_of(section)
    task = "The task failed. Log"
    assert line == ["v1 current", "sales", DASH, "", task, "Send again\u2026"]
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")

    section = open_deliveries(site, Refusal.of(502, "Airflow does not answer."))
    expect(section.get_by_role("alert")).to_have_text("Airflow does not answer.")
    expect(site.section("SQL").locator("pre")).to_have_text("SELECT v1")


def test_send_again_clears_one_task_and_shows_what_becomes_of_it(site: Site) -> None:
    before = receipt("sales", "v1")
    board = channel("board", "failed")
    section = open_deliveries(site, deliveries([channel("sales"), board], [before]))
    stop_clock(site)
    section.get_by_role("button", name="Send again\u2026 sales").click()
    dialog = site.page.get_by_role("dialog", name=f"Send {LAST.id} to sales again?")
    expect(dialog).to_contain_text("It was sent on 4 May 2026, 12:30 GMT+9 to sales@example.com.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert site.posts == []

    section.get_by_role("button", name="Send again\u2026 sales").click()
    site.put(f"/api/v2/{CLEAR}", {"task_instances": [{}], "total_entries": 1})
    waits = {None: "is waiting for Airflow", "queued": "is waiting for a worker"}
    states = {**waits, "running": "is sending"}
    again = receipt("sales", "v1", number=2)
    site.put(
        DELIVERIES,
        *(deliveries([channel("sales", state), board], [before]) for state in states),
        deliveries([channel("sales"), board], [again, before]),
    )
    click_twice(dialog.get_by_role("button", name="Send"))
    expect(dialog).to_be_hidden()
    request = channel("sales").clear
    assert request is not None
    assert site.posts == [Post(request.path, request.body)]
    for shown in states.values():
        expect(section.locator("tbody tr").first).to_contain_text(shown)
        expect(section.get_by_role("button")).to_have_text(["Send\u2026"])
        site.barrier()
        site.page.clock.run_for(POLL_MS)
    expect(section.locator("tbody tr").first).to_contain_text("message 2")
    expect(section.get_by_role("button")).to_have_text(["Send again\u2026", "Send\u2026"])
    asked = site.times(DELIVERIES)
    site.page.clock.run_for(20 * POLL_MS)
    assert site.times(DELIVERIES) == asked, "nothing is under way"


@pytest.mark.parametrize(
    ("refusal", "shown"),
    [
        (Refusal.of(409, "The task is running."), "The task is running."),
        ({"task_instances": [], "total_entries": 0}, "Airflow did not clear anything"),
    ],
)
def test_a_sending_that_airflow_refuses_is_told(site: Site, refusal: Any, shown: str) -> None:
    first = deliveries([channel("sales")])
    section = open_deliveries(site, first, deliveries([channel("sales", "running")]))
    stop_clock(site)
    site.put(f"/api/v2/{CLEAR}", refusal)
    section.get_by_role("button").click()
    dialog = site.page.get_by_role("dialog", name=f"Send {LAST.id} to sales?")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".error")).to_contain_text(shown)
    expect(dialog.get_by_role("button", name="Send")).to_have_count(0)
    assert len(site.posts) == 1
    # Meanwhile it may be under way for another reason.
    expect(section).to_contain_text("is sending")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_an_old_answer_never_replaces_newer_deliveries(site: Site) -> None:
    board = channel("board", "running")
    failed = deliveries([channel("sales", "failed"), board])
    section = open_deliveries(site, failed)
    stop_clock(site)
    expect(section).to_be_visible()
    held = site.hold(DELIVERIES)
    site.page.clock.run_for(POLL_MS)
    held.wait()
    site.put(f"/api/v2/{CLEAR}", {"task_instances": [{}], "total_entries": 1})
    site.put(DELIVERIES, deliveries([channel("sales", "queued"), board]))
    section.get_by_role("button", name="Send\u2026 sales").click()
    site.page.get_by_role("dialog").get_by_role("button", name="Send").click()
    expect(section).to_contain_text("is waiting for a worker")
    held.reply(failed)
    expect(section).to_contain_text("is waiting for a worker")


def test_the_recipients_of_a_message_are_those_of_all_its_receipts(site: Site) -> None:
    receipts = [
        receipt("sales", number=3, recipients=("b@example.com",)),
        receipt("sales", number=2, recipients=("a@example.com",), refused={"b@example.com": "450"}),
        receipt("sales", recipients=("c@example.com",), message_id="<0@example.com>"),
    ]
    section = open_deliveries(site, deliveries([channel("sales")], receipts))
    section.get_by_role("button", name="Send again\u2026 sales").click()
    dialog = site.page.get_by_role("dialog")
    expect(dialog).to_contain_text("GMT+9 to a@example.com, b@example.com.")


def test_who_sends_what_a_check_warns_of_is_told_so(site: Site) -> None:
    checks = (check("a"), check("rows", passed=False, severity="warn"))
    section = open_deliveries(site, deliveries([channel("sales", "failed")]), checks=checks)
    section.get_by_role("button", name="Send\u2026 sales").click()
    dialog = site.page.get_by_role("dialog")
    expect(dialog.locator(".error")).to_have_text("This version has check warnings: rows.")


@pytest.mark.parametrize(
    ("state", "is_paused", "shown"),
    [("up_for_retry", False, "will be retried"), (None, True, "is waiting for Airflow")],
)
def test_a_wait_is_asked_for_less_often_and_not_after_the_period_is_left(
    site: Site, state: str | None, is_paused: bool, shown: str
) -> None:
    waiting = deliveries([channel("sales", state)], is_paused=is_paused)
    section = open_deliveries(site, waiting)
    stop_clock(site)
    expect(section).to_be_visible()
    asked = site.times(DELIVERIES)
    site.page.clock.run_for(25_000)
    assert site.times(DELIVERIES) == asked
    # A failure in between hides nothing, and does not end it.
    site.put(DELIVERIES, Refusal.of(502, "S3 does not answer"), waiting)
    site.page.clock.run_for(6_000)
    expect(section.get_by_role("alert")).to_have_text("S3 does not answer")
    expect(section).to_contain_text(shown)
    site.page.clock.run_for(30_000)
    expect(section.get_by_role("alert")).to_have_count(0)
    site.page.get_by_role("link", name="All reports").click()
    expect(site.cell(LAST)).to_be_visible()
    asked = site.times(DELIVERIES)
    site.page.clock.run_for(120_000)
    assert site.times(DELIVERIES) == asked


def test_the_focus_stays_while_a_channel_is_sent_to(site: Site) -> None:
    sending = [channel("sales", "running"), channel("board", "failed")]
    section = open_deliveries(site, deliveries(sending))
    stop_clock(site)
    button = section.get_by_role("button", name="Send\u2026 board")
    button.focus()
    asked = site.times(DELIVERIES)
    sent = [channel("sales"), channel("board", "failed")]
    site.put(DELIVERIES, deliveries(sent, [receipt("sales")]))
    site.page.clock.run_for(POLL_MS)
    expect(section).to_contain_text("sales@example.com")
    assert site.times(DELIVERIES) == asked + 1
    expect(button).to_be_focused()
