"""Rows of one form, printed as a table and kept in `dev/bench/results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


@dataclass(frozen=True)
class Row:
    """One measurement. It replaces a row of the same name."""

    name: str
    unit: str  # of `ours` and `others`
    ours: float
    others: Mapping[str, float]  # figures by name
    ratio: float  # of ours to the other, or as the unit says
    required: float | None  # what the ratio may be at most; None if it is only reported
    machine: str = field(default_factory=machine)
    # Processor seconds by name, if they were measured.
    cpu: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        ours: float,
        others: Mapping[str, float],
        to: float,
        required: float | None = 1.0,
    ) -> Self:
        """Make a row of the ratio of ours to a figure; all are rounded."""
        rounded = {key: round(figure, 3) for key, figure in others.items()}
        return cls(name, unit, round(ours, 3), rounded, round(ours / to, 3), required)


def paired(
    name: str,
    unit: str,
    ours: Sequence[float],
    other: str,
    theirs: Sequence[float],
    required: float | None,
) -> Row:
    """Make a row of figures taken pair by pair: their medians, and the median of their ratios."""
    ratio = median(mine / figure for mine, figure in zip(ours, theirs, strict=True))
    return Row(
        name,
        unit,
        round(median(ours), 3),
        {other: round(median(theirs), 3)},
        round(ratio, 3),
        required,
    )


def keep(rows: Sequence[Row]) -> None:
    """Write the rows, beside those of other benchmarks that are there already."""
    kept = {row["name"]: row for row in json.loads(RESULTS.read_text())}
    kept |= {row.name: asdict(row) for row in rows}
    RESULTS.write_text(json.dumps(list(kept.values()), indent=2) + "\n")


def show(rows: Sequence[Row], console: Console) -> None:
    columns = ("name", "unit", "ours", "others", "ratio", "required", "CPU seconds")
    table = Table(*columns, title=machine())
    for row in rows:
        required = "-" if row.required is None else f"<= {row.required:g}"
        style = "" if row.required is None else "green" if row.ratio <= row.required else "red"
        ours, ratio = f"{row.ours:g}", f"{row.ratio:.2f}"
        others, cpu = _listed(row.others), _listed(row.cpu)
        table.add_row(row.name, row.unit, ours, others, ratio, required, cpu, style=style)
    console.print(table)


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure:g}" for name, figure in figures.items())
