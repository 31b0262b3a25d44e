"""One poller for all waits of a triggerer.

A triggerer runs hundreds of waits in one event loop. If each asked AWS by itself, each would need a
client, and the calls would add up to the quotas of the account, which everybody shares. Here one
task asks for all of them.
"""

import asyncio
import contextvars
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Self, TypeVar

from asgiref.sync import sync_to_async
from botocore.config import Config

from athena_reports.aws.hook import SharedSessionHook

_Key = TypeVar("_Key", bound=Hashable)  # what a wait asks for
_Answer = TypeVar("_Answer")

_pollers: dict[tuple[type, str], Any] = {}  # by class and connection
_CONNECT_SECONDS, _READ_SECONDS = 5, 10


@dataclass(frozen=True)
class Connection:
    """How AWS is reached: the arguments of a hook."""

    aws_conn_id: str | None
    region_name: str | None = None
    verify: bool | str | None = None
    botocore_config: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """A text that is equal for equal connections."""
        return json.dumps(asdict(self), sort_keys=True)

    def new_hook(self) -> SharedSessionHook:
        """Make a hook. Its clients read files, and ask Airflow for the connection."""
        return SharedSessionHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )


class SharedPoller(ABC, Generic[_Key, _Answer]):
    """Looks for what all waits of one connection ask for, for as long as any of them asks."""

    most_attempts = 3  # of botocore for a call; meanwhile no other wait is looked for

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        # What is asked for. What a look leaves out comes first in the next one: what is asked for
        # again after an answer goes to the end.
        self._asked: dict[_Key, asyncio.Future[_Answer]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._made_clients: Any = None

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Return the poller that all waits of this connection share."""
        poller: Self = _pollers.setdefault((cls, connection.key), cls(connection))
        return poller

    @property
    @abstractmethod
    def pauses_seconds(self) -> tuple[float, float]:
        """The pause between two looks, and the longest one, while AWS throttles."""

    @abstractmethod
    def new_clients(self, hook: SharedSessionHook) -> Any:
        """Make the clients that a look calls."""

    @abstractmethod
    async def look(self, keys: Sequence[_Key]) -> bool:
        """Answer what is asked for; return False if AWS throttled the first call already."""

    async def ask(self, key: _Key) -> _Answer:
        """Return what the next look finds."""
        loop = asyncio.get_running_loop()
        answer = self._asked.setdefault(key, loop.create_future())
        if self._polling is None or self._polling.done():
            # In the context of the first wait, what is logged would be in the log of its task.
            self._polling = loop.create_task(self._poll(), context=contextvars.Context())
        return await asyncio.shield(answer)  # which others may wait for too

    def answer(self, key: _Key, answer: _Answer) -> None:
        """Give an answer to whoever asks."""
        self._asked.pop(key).set_result(answer)

    async def clients(self) -> Any:
        """Return the clients. They are made at the first call, in a thread, as it takes a while."""
        if self._made_clients is None:
            # As in `AwsGenericHook.get_async_conn`, a thread of asgiref: in Airflow 3.2 no other
            # one can ask the triggerer for a connection.
            self._made_clients = await sync_to_async(self._make_clients)()
        return self._made_clients

    def drop_clients(self) -> None:
        """Make new ones at the next call. They read the connection and its credentials again."""
        self._made_clients = None

    def _make_clients(self) -> Any:
        defaults = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": self.most_attempts},
        )
        hook = self.connection.new_hook()
        # Options of the connection or the task take the place of these.
        hook.conn_config.botocore_config = defaults.merge(hook.config)
        return self.new_clients(hook)

    async def _poll(self) -> None:
        self.drop_clients()  # since they were made, the connection may have changed
        shortest, longest = self.pauses_seconds
        pause_seconds = shortest
        try:
            while True:
                # The pause comes first: the task of a new wait has just asked.
                await asyncio.sleep(pause_seconds)
                if not self._asked:
                    return
                is_served = await self._look_unless_cancelled()
                pause_seconds = shortest if is_served else min(2 * pause_seconds, longest)
        except asyncio.CancelledError:
            self._asked.clear()  # the event loop ends, and no other one can answer what it asks
            raise

    async def _look_unless_cancelled(self) -> bool:
        try:
            return await self.look(list(self._asked))
        except asyncio.CancelledError:
            # Only a call may have been cancelled, and not the poller itself: Airflow cancels the
            # requests of its triggers when it loses its supervisor.
            this_task = asyncio.current_task()
            if this_task is None or this_task.cancelling():
                raise
            return False


class RateLimiter:
    """Limits how often a triggerer calls a service."""

    # All pollers of a triggerer share one event loop, so this needs no lock.
    def __init__(self) -> None:
        self._next_at = 0.0  # the earliest time.monotonic() of the next call

    async def wait(self, calls_per_second: float) -> None:
        """Wait until a call may be made."""
        now = time.monotonic()
        turn = max(now, self._next_at)
        self._next_at = turn + 1 / calls_per_second
        if turn > now:
            await asyncio.sleep(turn - now)
