"""Which notifiers have sent an alert: an object in the report bucket for each.

The callbacks of a DAG and the DAG that sends what they missed are processes of their own. They
share these objects, so that no notifier is forgotten.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from athena_reports.aws.s3 import S3, ConditionError


@dataclass(frozen=True)
class AlertRecord:
    """Which notifiers have sent one alert, by the names of `named_notifiers`.

    Methods raise S3Error.

    Attributes:
        folder_uri: Where the objects are, with a slash at its end.
        open_s3: Makes the client when it is used first, which may take a while.
    """

    folder_uri: str
    open_s3: Callable[[], S3]

    def notified(self) -> set[str]:
        """Return the notifiers that have sent the alert."""
        return {item.uri.removeprefix(self.folder_uri) for item in self._s3.list(self.folder_uri)}

    def note_notified(self, notifier: str) -> None:
        """Record that a notifier has sent the alert."""
        with suppress(ConditionError):  # another process has called it too
            self._s3.write(f"{self.folder_uri}{notifier}", b"", "text/plain", replacing=None)

    @cached_property
    def _s3(self) -> S3:
        return self.open_s3()
