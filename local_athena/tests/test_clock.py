"""The present of queries can be told."""

from __future__ import annotations

import datetime as dt
import urllib.error
import urllib.request
from zoneinfo import ZoneInfo

import pytest

from local_athena.clock import PATH, Clock
from local_athena.faults import Hold
from tests.account import Account, ints


@pytest.fixture
def days(account: Account) -> Account:
    """A table whose partitions are the last two days, with a row on each of three."""
    for day in (14, 15, 16):
        account.put(f"days/day=2026-11-{day}/part-0.parquet", {"n": ints(day)})
    settings = {
        "enabled": "true",
        "day.type": "date",
        "day.range": "NOW-1DAY,NOW",
        "day.format": "yyyy-MM-dd",
    }
    parameters = {f"projection.{name}": value for name, value in settings.items()}
    account.create_table("days", {"n": "int"}, {"day": "string"}, parameters)
    return account


def seen(account: Account) -> str | None:
    return account.run("SELECT n FROM days ORDER BY n").csv


def test_the_present_stands_still_where_it_is_set(days: Account) -> None:
    clock = Clock(days.aws.endpoint_url)
    clock.set(dt.datetime(2026, 11, 16, 8, 59, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert seen(days) == '"n"\n"14"\n"15"\n', "it is the 15th in UTC"
    clock.set(dt.datetime(2026, 11, 16, 9, 0, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert seen(days) == '"n"\n"15"\n"16"\n'


def test_a_query_keeps_the_present_of_its_submission(days: Account) -> None:
    clock = Clock(days.aws.endpoint_url)
    clock.set(dt.datetime(2026, 11, 15, tzinfo=dt.UTC))
    hold = days.faults.add(Hold(state="QUEUED"))
    id_ = days.start("SELECT n FROM days ORDER BY n")
    clock.set(dt.datetime(2026, 11, 16, tzinfo=dt.UTC))
    days.faults.clear(hold)
    assert days.wait(id_).csv == '"n"\n"14"\n"15"\n'


@pytest.mark.parametrize("back", ["clear", "reset"])
def test_the_present_is_the_machines_again(account: Account, back: str) -> None:
    clock = Clock(account.aws.endpoint_url)
    clock.set(dt.datetime(2026, 11, 15, tzinfo=dt.UTC))
    assert ask(account) == b'{"now": "2026-11-15T00:00:00+00:00"}'
    if back == "clear":
        clock.clear()
    else:
        account.aws.reset()
    assert ask(account) == b'{"now": null}'


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"now": "soon"}', b'{"now": "2026-11-15T00:00:00"}', b'{"now": 1}'],
)
def test_what_is_no_instant_is_refused(account: Account, body: bytes) -> None:
    request = urllib.request.Request(account.aws.endpoint_url + PATH, body, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    assert b"not an instant" in caught.value.read()
    with pytest.raises(ValueError, match="zone"):
        Clock(account.aws.endpoint_url).set(dt.datetime(2026, 11, 15))  # noqa: DTZ001 - refused


def test_another_method_is_refused(account: Account) -> None:
    request = urllib.request.Request(account.aws.endpoint_url + PATH, b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 405


def ask(account: Account) -> bytes:
    body: bytes = urllib.request.urlopen(account.aws.endpoint_url + PATH).read()
    return body
