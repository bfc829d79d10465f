"""Figures of a stage, and medians over repetitions.

Belongs here: the measured figures of a stage and the derived ones. Does not belong here: how times are taken.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bench.processes import Watched


@dataclass(frozen=True)
class Figures:
    """The figures of one stage in one repetition, or the medians of several repetitions.

    wall, cpu: seconds. peak: bytes, the largest sum of resident sets of all processes of the run. rows: what went
    through it: CDRs, or bills for publishing and documents. written: bytes of the files that it wrote or changed.
    """

    wall: float
    cpu: float
    peak: float
    rows: int = 0
    written: float = 0
    files: float = 0

    def as_json(self, cores: int) -> dict[str, Any]:
        """The figures with the derived ones: rows a second, rows a CPU second, rows a second and core."""
        return {
            "wall_sec": round(self.wall, 4),
            "cpu_sec": round(self.cpu, 3),
            "peak_rss_bytes": round(self.peak),
            "rows": self.rows,
            "rows_per_sec": round(self.rows_per_sec),
            "rows_per_cpu_sec": round(self.rows / self.cpu) if self.cpu > 0 else 0,
            "rows_per_sec_and_core": round(self.rows_per_sec / cores),
            "bytes_written": round(self.written),
            "files_written": round(self.files),
        }

    @property
    def rows_per_sec(self) -> float:
        return self.rows / self.wall if self.wall > 0 else 0.0


Stages = Mapping[str, Figures]


def spans_to_stages(spans: Sequence[tuple[str, float, float]], watched: Watched) -> dict[str, Figures]:
    """Figures per stage from its spans (name, begin, end): times add up, the highest peak counts."""
    found: dict[str, Figures] = {}
    for stage, begin, end in spans:
        wall, cpu, peak = end - begin, watched.cpu_between(begin, end), watched.peak_between(begin, end)
        before = found.get(stage, Figures(0.0, 0.0, 0))
        found[stage] = Figures(before.wall + wall, before.cpu + cpu, max(before.peak, peak))
    return found


def medians(repetitions: Sequence[Stages]) -> dict[str, Figures]:
    """The median of every figure of every stage; a stage that is missing in a repetition is left out of its median."""
    stages: dict[str, None] = {}
    for repetition in repetitions:
        stages |= dict.fromkeys(repetition)
    return {stage: _median([item[stage] for item in repetitions if stage in item]) for stage in stages}


def _median(items: Sequence[Figures]) -> Figures:
    values = {
        item.name: statistics.median(getattr(figures, item.name) for figures in items) for item in fields(Figures)
    }
    return Figures(**{**values, "rows": int(values["rows"])})


def total(stages: Stages, names: Iterable[str]) -> Figures:
    """Several stages as one."""
    chosen = [stages[name] for name in names if name in stages]
    return Figures(
        sum(item.wall for item in chosen),
        sum(item.cpu for item in chosen),
        max((item.peak for item in chosen), default=0),
        max((item.rows for item in chosen), default=0),
        sum(item.written for item in chosen),
        sum(item.files for item in chosen),
    )
