"""What a run that waits for its inputs lets others know, by an XCom of its task."""

from datetime import UTC, datetime

from pydantic import BaseModel

INPUTS_TASK = "wait_for_inputs"
MISSING_XCOM = "missing_inputs"


class MissingInputs(BaseModel, frozen=True):
    """What is missing, a sentence for each input, and since when the run waits."""

    since: datetime
    missing: tuple[str, ...]

    def __str__(self) -> str:
        since = self.since.astimezone(UTC)
        return f"Waiting for inputs since {since:%Y-%m-%d %H:%M} UTC: {'; '.join(self.missing)}."
