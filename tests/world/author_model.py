"""An author's command in a world: it pays a query, waits for it, and is killed at any time.

What submits and stops is the code of `preview` and `plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.authoring import trial
from tests.support.memory_athena import FINAL, Plan, Query
from tests.world.process import Process
from tests.world.world import Actor, Start, World

_LOOK_EVERY_SECONDS = 600.0
RESULTS_URI = "s3://results/"
_COMMANDS = 2


class Interrupted(BaseException):
    """SIGTERM, SIGHUP or Ctrl-C: the command ends, and unwinds."""


@dataclass(eq=False)
class Command(Process):
    """The process of a command."""

    query_id: str = ""
    interrupted_at: float = 0.0  # by a signal that it can answer
    was_interrupted: bool = False
    actor: Actor | None = None

    @property
    def query(self) -> Query | None:
        return self.world.athena.queries.get(self.query_id)

    @property
    def had_trouble(self) -> bool:
        """Whether it was frozen, or a call of it failed."""
        return self.actor is not None and self.actor.had_trouble

    def start(self, id_: str) -> Start:
        """What the books say of a query that it starts."""
        purpose = ("command", id(self))
        self.started = Start(id_, purpose, id_, 1, None, self.world.forgotten)
        return self.started

    def plan(self, number: int) -> Plan:
        """How its query goes, which may last longer than the command."""
        self.query_id = f"q-{number + 1}"
        seconds = self.world.rng.choice([5.0, 600.0, 6000.0])
        if self.world.happens("takes too long"):
            return self.world.plan_to_limit()
        return Plan(states=(("QUEUED", 1.0), ("RUNNING", seconds)))

    def go_on(self) -> None:
        super().go_on()
        if not self.was_interrupted and self.world.clock.seconds > self.interrupted_at:
            self.was_interrupted = True
            raise Interrupted


class Authors:
    """All commands of authors in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.commands: list[Command] = []
        settings = SimpleNamespace(
            environment="dev",
            workgroup="dev",
            query_results=RESULTS_URI,
            bucket_owner="",
            encryption=None,
        )
        world.patch.setattr(trial, "settings", lambda: settings)
        # They look once a second for hours, which shows no more than once in twenty seconds.
        world.patch.setattr(trial, "_LONGEST_PAUSE_SECONDS", 20.0)
        world.patch.setattr(trial, "print_note", world.say)
        athena: Any = world.athena
        self.aws = trial.Aws(athena=athena, glue=world.glue, s3=world.store)  # type: ignore[arg-type]
        vars(self.aws)["author"] = "somebody"

    def play(self) -> None:
        """Let an author start some commands, and judge what is left of each."""
        rng = self.world.rng
        for _ in range(_COMMANDS):
            self.world.pause_until_morning(rng.randint(0, 2))
            self._play_command()

    def _play_command(self) -> None:
        world = self.world
        now = world.clock.seconds
        command = Command(world, "command killed", dies_at=now + world.rng.uniform(1, 10_000))
        command.interrupted_at = now + world.rng.uniform(1, 10_000)
        self.commands.append(command)
        command.actor = world.spawn("preview", lambda: self._execute(command), attempt=command)
        while command.outcome is None:
            world.pause(_LOOK_EVERY_SECONDS)

    def _execute(self, command: Command) -> None:
        sql = self.world.rng.choice(["SELECT 1", "SELECT 2"])  # as the runs have it
        query = trial.query_request(sql, "database_dev", self.aws, command="preview")
        trial_request: Any = SimpleNamespace(query=query)
        errors = (AthenaReportsError, ClientError, BotoCoreError)
        try:
            command.execute(lambda: trial._run(trial_request, self.aws), *errors)
        except Interrupted:
            self.world.say("the command was interrupted")
            command.outcome = "interrupted"
        if command.outcome != "killed" and not command.had_trouble:
            assert not self._is_running(command), f"the command has ended, and {command.query} runs"

    def _is_running(self, command: Command) -> bool:
        """Whether its query runs, and nobody has asked to stop it."""
        if command.query is None or command.query.cancelled_at is not None:
            return False
        return command.query.state_at(self.world.clock.now) not in FINAL

    def judge_adoption(self, query_execution_id: str) -> None:
        """No task takes the query of a command for its own."""
        ids = [command.query_id for command in self.commands]
        assert query_execution_id not in ids, f"a task waits for {query_execution_id} of a command"
