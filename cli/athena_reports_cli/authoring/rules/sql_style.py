"""What sqlfluff finds in SQL, in this process or in a second one.

To import Airflow takes most of the time of `check`, and sqlfluff takes most of the rest. So
sqlfluff looks at the golden files in a second process, while this one imports Airflow. SQL that has
not been edited is the same as in the golden files. Nothing is kept from one run to the next.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sqlfluff.core import Linter

Violation = tuple[int, str]
"""A line, and what is wrong there."""
Style = Callable[[str], list[Violation]]

_CONFIG = Path(__file__).with_name("sqlfluff.cfg")
_LITERALS = re.compile(r"'[^']*'(, '[^']*')*|\b\d+\b")


def shape_of(sql: str) -> str:
    """Return the SQL with `?` for its literals, which differ from period to period."""
    return _LITERALS.sub("?", sql)


def violations(sql: str) -> list[Violation]:
    """Return what sqlfluff finds, save that it cannot parse the SQL: Trino's parser judges that."""
    from sqlfluff.core import SQLParseError

    errors = _linter().lint_string(sql).get_violations()
    return [
        (error.line_no, f"{error.rule_code()} {error.desc()}")
        for error in errors
        if not isinstance(error, SQLParseError)
    ]


@cache
def _linter() -> Linter:
    from sqlfluff.core import FluffConfig, Linter

    config = FluffConfig.from_path(str(_CONFIG.parent), str(_CONFIG), ignore_local_config=True)
    return Linter(config=config)


class StyleBeside:
    """Finds violations in a second process.

    It begins at once with SQL that is likely to be asked for. Of SQL that differs in its literals
    alone, only the first is looked at.
    """

    def __init__(self, likely: Iterable[str]) -> None:
        # Not a fork: the second process may start when this one already has threads.
        context = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(max_workers=1, mp_context=context)
        self._found: dict[str, Future[list[Violation]]] = {}
        for sql in likely:
            self._look_at(sql)

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process. It does not begin with SQL that nobody has asked for."""
        self._process.shutdown(cancel_futures=True)

    def violations(self, sql: str) -> list[Violation]:
        """Return what sqlfluff finds, as the function of that name does."""
        return self._look_at(sql).result()

    def _look_at(self, sql: str) -> Future[list[Violation]]:
        shape = shape_of(sql)
        if shape not in self._found:
            self._found[shape] = self._process.submit(violations, sql)
        return self._found[shape]
