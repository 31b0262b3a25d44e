"""One poller for all the partitions that the waits of a triggerer wait for.

It asks Glue for each table once, and for up to 1,000 partitions in a call, whatever the number of
waits. Done objects are asked for one by one, each address once.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.inputs.need import InputNeed
from athena_reports.steps.input_coverage import find_together
from athena_reports.steps.shared_poller import Connection, SharedPoller, Turns

PAUSE_SECONDS = 20.0
"""The pause between two looks."""
LONGEST_PAUSE_SECONDS = 160.0
"""The longest pause between two looks while AWS throttles."""
TABLES_PER_SECOND = 5.0
"""Of one triggerer at most, for all its connections."""

log = logging.getLogger(__name__)
_turns = Turns()


class InputsWait:
    """One wait for the inputs of a period.

    The poller notes what it finds. Whoever waits calls `next_change`, in the context of the
    task, so that its lines are in the task's log. No error ends the wait: the scheduler does, when
    its time is over.
    """

    def __init__(self, needs: Sequence[InputNeed], missing: Sequence[str] | None) -> None:
        self.needs = needs
        self._missing = None if missing is None else tuple(missing)
        self._is_failing = False
        self._changes: asyncio.Queue[tuple[str, ...] | str] = asyncio.Queue()

    async def next_change(self) -> tuple[str, ...]:
        """Return what is missing once it is something else than before; empty if nothing is."""
        while True:
            change = await self._changes.get()
            if not isinstance(change, str):
                return change
            log.warning("It is not known what is missing, and asked again: %s", change)

    def note_answer(self, missing: tuple[str, ...]) -> None:
        """Note what is missing; whoever waits learns of a change."""
        self._is_failing = False
        if missing != self._missing:
            self._missing = missing
            self._changes.put_nowait(missing)

    def note_no_answer(self, reason: str) -> None:
        """Note that AWS did not tell what is missing, and why."""
        if not self._is_failing:
            self._changes.put_nowait(reason)
        self._is_failing = True


class PartitionPoller(SharedPoller[InputsWait]):
    """Looks at the inputs of all waits of one connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._looked_at: dict[object, float] = {}

    @property
    def pauses_seconds(self) -> tuple[float, float]:
        """The pause between two looks, and the longest one, while AWS throttles."""
        return PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

    def new_clients(self, hook: SharedSessionHook) -> Any:
        """Make clients of Glue and S3."""
        return hook.client("glue"), S3(hook.client("s3"))

    def waiting(
        self, needs: Sequence[InputNeed], missing: Sequence[str] | None
    ) -> AbstractContextManager[InputsWait]:
        """Look at the inputs of a period for as long as the context lasts.

        Args:
            needs: What the period needs.
            missing: What is known to be missing; None if nothing is known.
        """
        return self.joined(InputsWait(needs, missing))

    async def look(self) -> bool:
        """Look at each table once; return False if AWS throttled the first one already.

        A look ends at the first table for which AWS throttles.
        """
        needs_by_lookup: dict[object, dict[InputNeed, None]] = {}
        for wait in self.waits:
            for need in wait.needs:
                needs_by_lookup.setdefault(need.lookup, {})[need] = None
        # Those that a look has left out come first in the next one.
        lookups = sorted(needs_by_lookup, key=lambda lookup: self._looked_at.get(lookup, 0.0))
        found: dict[InputNeed, InputCoverage | str] = {}
        keeps_pace = True
        for number, lookup in enumerate(lookups):
            needs = list(needs_by_lookup[lookup])
            await _turns.wait(TABLES_PER_SECOND)
            self._looked_at[lookup] = time.monotonic()
            try:
                coverages = await self._find(needs)
            except Exception as error:  # whatever it is: without the poller no wait would ever end
                found.update(dict.fromkeys(needs, str(error)))
                if _is_throttled(error):
                    keeps_pace = number > 0
                    break
                self.drop_clients()
            else:
                found.update(zip(needs, coverages, strict=True))
        for wait in self.waits:
            _tell(wait, found)
        return keeps_pace

    async def _find(self, needs: Sequence[InputNeed]) -> list[InputCoverage]:
        glue, s3 = await self.clients()
        partitions = await asyncio.to_thread(
            find_together, needs, now=datetime.now(UTC), glue=glue, s3=s3
        )
        return [coverage for coverage, _ in partitions]


def _tell(wait: InputsWait, found: Mapping[InputNeed, InputCoverage | str]) -> None:
    """Let a wait know what was found, unless the look has left out something that it needs."""
    missing = []
    for need in wait.needs:
        coverage = found.get(need)
        if coverage is None:
            return
        if isinstance(coverage, str):
            wait.note_no_answer(coverage)
            return
        if coverage.lacks_partitions:
            missing.append(str(coverage))
    wait.note_answer(tuple(missing))


def _is_throttled(error: Exception) -> bool:
    cause: BaseException | None = error
    if isinstance(error, S3Error):
        cause = error.__cause__
    if not isinstance(cause, (ClientError, BotoCoreError)):
        return False
    return error_kind(cause) is ErrorKind.THROTTLED
