"""The present of the local Athena, for the queries of an author's command."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx

from athena_reports_cli.local.local_endpoint import remote_endpoint

_CLOCK = "/_local/clock"  # of the local Athena, beside its services


@contextmanager
def present_at(instant: datetime, athena: Any) -> Iterator[None]:
    """Let queries that are started meanwhile take an instant for the present.

    So the rows of a query with `current_date` do not depend on the day on which somebody tries it.
    Nothing is done if Athena is not on this machine, or is another one than the local Athena.

    Args:
        instant: The present, with its zone.
        athena: The client that starts the queries.
    """
    if remote_endpoint(athena):
        yield
        return
    url = f"{str(athena.meta.endpoint_url).rstrip('/')}{_CLOCK}"
    # A proxy of the environment is not for this machine.
    with httpx.Client(trust_env=False) as client:
        has_clock = False
        with suppress(httpx.HTTPError):  # the start of the query tells what is wrong
            answer = client.put(url, json={"now": instant.isoformat()})
            has_clock = answer.status_code == HTTPStatus.OK
        try:
            yield
        finally:
            if has_clock:
                with suppress(httpx.HTTPError):
                    client.delete(url)
