"""Numbers in what a person reads."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: "1 period", "3 periods"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s"
