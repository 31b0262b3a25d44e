"""One poller for all the partitions that the waits of a triggerer wait for.

It asks Glue for each table once, and for up to 1,000 partitions in a call, whatever the number of
waits. Success markers are asked for one by one, each address once.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

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
        self._changes: asyncio.Queue[tuple[str, ...] | Exception] = asyncio.Queue()

    async def next_change(self) -> tuple[str, ...]:
        """Return what is missing once it is something else than before; empty if nothing is."""
        while True:
            change = await self._changes.get()
            if not isinstance(change, Exception):
                return change
            log.warning("Could not check the inputs; will retry: %s", change)

    def note(self, found: Mapping[InputNeed, InputCoverage | Exception]) -> None:
        """Note what a look found, unless it left out something that this wait needs."""
        missing = []
        for need in self.needs:
            coverage = found.get(need)
            if coverage is None:
                return
            if isinstance(coverage, Exception):
                if not self._is_failing:  # of several errors in a row, the first one is logged
                    self._changes.put_nowait(coverage)
                self._is_failing = True
                return
            if coverage.lacks_partitions:
                missing.append(str(coverage))
        self._is_failing = False
        if tuple(missing) != self._missing:
            self._missing = tuple(missing)
            self._changes.put_nowait(self._missing)


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
        needs_by_lookup: dict[object, dict[InputNeed, None]] = {}  # each once, in order
        for wait in self.waits:
            for need in wait.needs:
                needs_by_lookup.setdefault(need.lookup, {})[need] = None
        # Those that a look has left out come first in the next one.
        lookups = sorted(needs_by_lookup, key=lambda lookup: self._looked_at.get(lookup, 0.0))
        found: dict[InputNeed, InputCoverage | Exception] = {}
        keeps_pace = True
        for lookup in lookups:
            needs = list(needs_by_lookup[lookup])
            await _turns.wait(TABLES_PER_SECOND)
            self._looked_at[lookup] = time.monotonic()
            try:
                found.update(await self._find(needs))
            except Exception as error:  # whatever it is: without the poller no wait would ever end
                is_first = not found
                found.update(dict.fromkeys(needs, error))
                if _is_throttled(error):
                    keeps_pace = not is_first
                    break
                self.drop_clients()
        for wait in self.waits:
            wait.note(found)
        return keeps_pace

    async def _find(self, needs: Sequence[InputNeed]) -> dict[InputNeed, InputCoverage]:
        glue, s3 = await self.clients()
        partitions = await asyncio.to_thread(
            find_together, needs, now=datetime.now(UTC), glue=glue, s3=s3
        )
        return {need: coverage for need, (coverage, _) in zip(needs, partitions, strict=True)}


def _is_throttled(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error, S3Error) else error
    return isinstance(cause, Exception) and error_kind(cause) is ErrorKind.THROTTLED
