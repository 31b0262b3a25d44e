"""What a benchmark says: rows of one form, printed as a table and kept in `dev/bench/results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
    """One measurement. It replaces a row of the same name."""

    name: str
    unit: str  # of `ours` and `others`
    ours: float
    others: Mapping[str, float]  # figures by name
    ratio: float  # of ours to the other, or as the unit says
    required: float | None  # what the ratio may be at most; None if it is only reported
    machine: str = field(default_factory=machine)
    cpu: Mapping[str, float] = field(default_factory=dict)  # processor seconds by name, if they were measured

    def to_json(self) -> Mapping[str, object]:
        """Return the row as it is kept."""
        return {key: value for key, value in asdict(self).items() if key != "cpu" or value}


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of figures that were taken pair by pair."""
    return round(median(mine / other for mine, other in zip(ours, theirs, strict=True)), 3)


def paired(
    name: str, unit: str, ours: Sequence[float], other: str, theirs: Sequence[float], required: float | None
) -> Row:
    """Make a row of figures taken pair by pair: their medians, and the median of their ratios."""
    others = {other: round(median(theirs), 3)}
    return Row(name, unit, round(median(ours), 3), others, paired_ratio(ours, theirs), required)


def keep(rows: Sequence[Row], path: Path = RESULTS) -> None:
    """Write the rows, beside those of other benchmarks that are there already."""
    kept = json.loads(path.read_text()) if path.exists() else []
    fresh = {row.name for row in rows}
    kept = [row for row in kept if row["name"] not in fresh] + [row.to_json() for row in rows]
    path.write_text(json.dumps(kept, indent=2) + "\n")


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows as a table."""
    table = Table("name", "unit", "ours", "others", "ratio", "required", "CPU seconds", title=machine())
    for row in rows:
        required = "-" if row.required is None else f"<= {row.required:g}"
        style = "" if row.required is None else "green" if row.ratio <= row.required else "red"
        ratio, others, cpu = f"{row.ratio:.2f}", _listed(row.others), _listed(row.cpu)
        table.add_row(row.name, row.unit, f"{row.ours:g}", others, ratio, required, cpu, style=style)
    console.print(table)


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure:g}" for name, figure in figures.items())
