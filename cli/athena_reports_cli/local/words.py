"""Numbers in what a person reads, and notes beside what a command prints."""

import sys


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: "1 period", "3 periods"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s"


def print_note(message: str) -> None:
    """Print to standard error what a person should know of what a command does."""
    print(message, file=sys.stderr, flush=True)
