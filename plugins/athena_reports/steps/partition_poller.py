"""One poller for all the partitions that the waits of a triggerer wait for.

It asks Glue for each table once, and for up to 1,000 partitions in a call, whatever the number of
waits. Success markers are asked for one by one, each address once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.inputs.need import InputNeed
from athena_reports.steps.input_coverage import find_together
from athena_reports.steps.shared_poller import RateLimiter, SharedPoller

PAUSE_SECONDS = 20.0
"""The pause between two looks."""
LONGEST_PAUSE_SECONDS = 160.0
"""The longest pause between two looks while AWS throttles."""
TABLES_PER_SECOND = 5.0
"""Of one triggerer at most, for all its connections."""

log = logging.getLogger(__name__)
_rate_limiter = RateLimiter()


class PartitionPoller(SharedPoller[InputNeed, InputCoverage | Exception]):
    """Looks at the inputs of all waits of one connection; answers what exists, or an error."""

    @property
    def pauses_seconds(self) -> tuple[float, float]:
        """The pause between two looks, and the longest one, while AWS throttles."""
        return PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

    def new_clients(self, hook: SharedSessionHook) -> Any:
        """Make clients of Glue and S3."""
        return hook.client("glue"), S3(hook.client("s3"))

    async def changes(
        self, needs: Sequence[InputNeed], missing: Sequence[str] | None
    ) -> AsyncIterator[Sequence[str]]:
        """Yield what is missing of a period's inputs when it has changed; at last nothing.

        No error ends the wait. `missing` is what is known to be missing; None if nothing is known.
        """
        is_failing = False
        while missing is None or missing:
            answers = await asyncio.gather(*map(self.ask, needs))
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if errors and not is_failing:  # of several errors in a row, the first one is logged
                log.warning("Could not check the inputs; will retry: %s", errors[0])
            is_failing = bool(errors)
            coverages = [answer for answer in answers if isinstance(answer, InputCoverage)]
            now_missing = [str(coverage) for coverage in coverages if coverage.lacks_partitions]
            if not errors and now_missing != missing:
                missing = now_missing
                yield missing

    async def look(self, keys: Sequence[InputNeed]) -> bool:
        """Look at each table once, or until AWS throttles; return False if it did so at once."""
        needs_by_lookup: dict[object, list[InputNeed]] = {}
        for need in keys:
            needs_by_lookup.setdefault(need.lookup, []).append(need)
        for number, needs in enumerate(needs_by_lookup.values()):
            await _rate_limiter.wait(TABLES_PER_SECOND)
            try:
                coverages = await self._find(needs)
            except Exception as error:  # whatever it is: without the poller no wait would ever end
                for need in needs:
                    self.answer(need, error)
                if _is_throttled(error):
                    return number > 0
                self.drop_clients()
                continue
            for need, coverage in zip(needs, coverages, strict=True):
                self.answer(need, coverage)
        return True

    async def _find(self, needs: Sequence[InputNeed]) -> list[InputCoverage]:
        glue, s3 = await self.clients()
        partitions = await asyncio.to_thread(
            find_together, needs, now=datetime.now(UTC), glue=glue, s3=s3
        )
        return [found.coverage for found in partitions]


def _is_throttled(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error, S3Error) else error
    return isinstance(cause, Exception) and error_kind(cause) is ErrorKind.THROTTLED
