"""Case `changed-day`: late CDRs of one day of a billed month; mediation to reports once more.

Twice: with late calls, which change no imputed volume, and with late data sessions so small that they change those
of their customers, so that imputed volumes on other days are out of date. The late CDRs land first, untimed. What comes
out is compared with the DuckDB script on all files, row for row.
"""

from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH, QUIET, SMALLEST
from bench.duckdb_runs import compare
from bench.figures import Figures, medians, total
from bench.stage_names import COMPARED, STAGES
from bench.workplace import BILLED, LANDED, QUIET_LANDED, SETTLED, SMALLEST_LANDED

#: Name of the measurement, the state it begins from, how much of the topic it sees.
_KINDS = (
    ("imputes nothing anew", QUIET_LANDED, QUIET),
    ("imputes anew", SMALLEST_LANDED, SMALLEST),
)


def measure(bench: Bench) -> None:
    """Adds `changed-day`: medians per stage of both kinds, and the month they are compared with. Raises TablesDiffer."""
    found: dict[str, Any] = {"month": _month(bench)}
    for name, state, upto in _KINDS:
        found[name] = _measure_one(bench, name, state, upto)
    bench.workplace.homes.save(SETTLED)
    bench.results["changed-day"] = found


def _month(bench: Bench) -> dict[str, Any]:
    """The same steps for the whole month: from the case `pipeline`, or measured here when that did not run."""
    pipeline = bench.results.get("pipeline")
    if pipeline is not None:
        return dict(pipeline["sums"]["landed to reports"])
    repetitions = []
    for number in bench.repetitions():
        bench.workplace.begin_from(LANDED)
        repetitions.append(bench.workplace.project.run("month", MONTH).stages)
        bench.say_repetition("the whole month", number, f"{total(repetitions[-1], COMPARED).wall:.2f} s")
    bench.workplace.homes.save(BILLED)
    return total(medians(repetitions), COMPARED).as_json(bench.cores)


def _measure_one(bench: Bench, name: str, state: str, upto: str) -> dict[str, Any]:
    place, repetitions = bench.workplace, []
    for number in bench.repetitions():
        place.begin_from(state)
        repetitions.append(place.project.run("month", upto))
        bench.say_repetition(
            f"a changed day that {name}", number, f"{total(repetitions[-1].stages, COMPARED).wall:.2f} s"
        )
    compared = compare(place, upto, bench.cores)
    middle = medians([item.stages for item in repetitions])
    late = sum(place.dataset.ends[upto].values()) - sum(place.dataset.ends[MONTH].values())
    sums: dict[str, Figures] = {
        "landed to reports": total(middle, COMPARED),
        "landed to documents": total(middle, STAGES),
        "process": medians([{"process": item.process} for item in repetitions])["process"],
    }
    return {
        "late_cdrs": late,
        "stages": {stage: middle[stage].as_json(bench.cores) for stage in STAGES if stage in middle},
        "sums": {part: figures.as_json(bench.cores) for part, figures in sums.items()},
        "compared": compared,
        "repetitions": [item.as_json(bench.cores) for item in repetitions],
    }
