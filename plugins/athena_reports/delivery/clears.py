"""How often the task of a channel was cleared in a run.

Airflow does not pass a task whether it was cleared or is being retried. But a clear changes the
`max_tries` of the task, and a retry does not. So each try notes `max_tries` for the next one, in
`tries/<channel>/<run id>.json` of the period. The retries that the DAG file declares do not help:
an upgrade can change them while a run is in progress.
"""

from contextlib import suppress
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.delivery.errors import DeliveryError
from athena_reports.publication.location import PeriodLocation


class _Note(BaseModel, frozen=True):
    """What a try has noted: its `max_tries`, and the clears of its task until then."""

    tries_format: Literal[1] = 1
    max_tries: int
    clears: int = 0


def note_try(
    location: PeriodLocation,
    s3: S3,
    *,
    channel: str,
    run_id: str,
    try_number: int,
    max_tries: int,
) -> int:
    """Note a try of the task of a channel, and return how often the task was cleared in its run.

    If no earlier try could be noted, the task counts as not cleared.
    """
    uri = f"{location.folder_uri}tries/{channel}/{quote(run_id, safe='')}.json"
    earlier, etag = _read(uri, s3)
    if earlier is None or try_number == 1:
        note = _Note(max_tries=max_tries)
    elif earlier.max_tries == max_tries:
        note = earlier
    else:
        note = _Note(max_tries=max_tries, clears=earlier.clears + 1)
    if note != earlier:
        with suppress(ConditionError):  # the same try has written it, in a request without response
            s3.write(uri, note.model_dump_json().encode(), "application/json", replacing=etag)
    return note.clears


def _read(uri: str, s3: S3) -> tuple[_Note | None, str | None]:
    try:
        body, etag = s3.read(uri)
    except MissingObjectError:
        return None, None
    try:
        return _Note.model_validate_json(body), etag
    except ValidationError as error:
        raise DeliveryError(
            f"{uri} was not written by this release. Delete it, then clear the task."
        ) from error
