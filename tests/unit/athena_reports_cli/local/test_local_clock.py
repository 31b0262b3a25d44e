"""The present of the local Athena; test_cases.py has a query that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports_cli.local.local_clock import present_at
from tests.support.rest_api import RestApi, rest_api

NOW = datetime(2025, 6, 21, 15, 5, tzinfo=UTC)
SET = ("PUT", "/_local/clock", {"now": "2025-06-21T15:05:00+00:00"})
RESET = ("DELETE", "/_local/clock", None)


@dataclass
class Clock(RestApi):
    """A service that answers every call of the clock alike."""

    status: HTTPStatus = HTTPStatus.OK

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any]:
        self.requests.append((f"{method} {path}", body))
        return self.status, {}

    @property
    def calls(self) -> list[tuple[str, str, Any]]:
        return [(*request.split(), body) for request, body in self.requests]  # type: ignore[misc]


@pytest.fixture
def clock() -> Iterator[Clock]:
    with rest_api({}, kind=Clock) as api:
        assert isinstance(api, Clock)
        yield api


def athena_at(url: str) -> Any:
    model = SimpleNamespace(service_name="athena")
    return SimpleNamespace(meta=SimpleNamespace(endpoint_url=url, service_model=model))


@pytest.mark.usefixtures("_proxy")
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_present_is_set_for_as_long_as_the_context_lasts(clock: Clock, slash: str) -> None:
    with present_at(NOW, athena_at(f"{clock.url}{slash}")):
        assert clock.calls == [SET]
    assert clock.calls == [SET, RESET]


def test_it_is_reset_after_an_error_too(clock: Clock) -> None:
    with pytest.raises(KeyboardInterrupt), present_at(NOW, athena_at(clock.url)):
        raise KeyboardInterrupt
    assert clock.calls == [SET, RESET]


def test_another_athena_on_this_machine_has_no_clock_and_none_is_reset(clock: Clock) -> None:
    clock.status = HTTPStatus.NOT_FOUND
    with present_at(NOW, athena_at(clock.url)):
        pass
    assert clock.calls == [SET]


def test_a_service_that_has_ended_meanwhile_needs_no_reset() -> None:
    with ExitStack() as stack, rest_api({}, kind=Clock) as api:
        stack.enter_context(present_at(NOW, athena_at(api.url)))
        assert len(api.requests) == 1


def test_a_service_that_does_not_answer_is_left_to_the_query() -> None:
    with present_at(NOW, athena_at("http://127.0.0.1:9")):
        pass


def test_the_athena_of_an_account_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx.Client", None)
    with present_at(NOW, athena_at("https://athena.us-east-1.amazonaws.com")):
        pass
