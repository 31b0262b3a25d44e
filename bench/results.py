"""What a benchmark says: rows of one form, printed as a table and kept in `bench/results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")


def machine() -> str:
    """Return what the figures were measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: Which; a row of the same name replaces it.
        unit: Unit of `ours` and `others`.
        ours: Our figure.
        others: Figures of what it is compared with, by name.
        ratio: Ours to the best of the others, or as the benchmark says.
        required: What the ratio may be at most.
        machine: What it was measured on.
    """

    name: str
    unit: str
    ours: float
    others: Mapping[str, float]
    ratio: float
    required: float
    machine: str


def paired(
    name: str, unit: str, ours: Sequence[float], other: str, theirs: Sequence[float], required: float
) -> Row:
    """Make a row of measurements taken in turns: medians, and the median of the ratios pair by pair."""
    ratio = median(mine / his for mine, his in zip(ours, theirs, strict=True))
    return Row(
        name,
        unit,
        round(median(ours), 3),
        {other: round(median(theirs), 3)},
        round(ratio, 3),
        required,
        machine(),
    )


def keep(rows: Sequence[Row], path: Path = RESULTS) -> None:
    """Write the rows, beside those of other benchmarks that are there already."""
    kept = json.loads(path.read_text()) if path.exists() else []
    fresh = {row.name for row in rows}
    kept = [row for row in kept if row["name"] not in fresh] + [asdict(row) for row in rows]
    path.write_text(json.dumps(kept, indent=2) + "\n")


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows as a table."""
    table = Table("name", "unit", "ours", "others", "ratio", "required", title=machine())
    for row in rows:
        others = ", ".join(f"{who} {figure:g}" for who, figure in row.others.items())
        style = "green" if row.ratio <= row.required else "red"
        table.add_row(
            row.name,
            row.unit,
            f"{row.ours:g}",
            others,
            f"{row.ratio:.2f}",
            f"<= {row.required:g}",
            style=style,
        )
    console.print(table)
