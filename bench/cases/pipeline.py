"""Case `pipeline`: the month from the topic to the documents, with Dagster and all checks.

Two processes a repetition: one lands the topic into an empty home, one takes the landed month to the documents.
"""

from collections.abc import Sequence
from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH
from bench.figures import Figures, medians, total
from bench.project_runs import Repetition
from bench.stage_names import COMPARED, STAGES
from bench.workplace import BILLED, EMPTY, LANDED, Workplace

_START_OF_LANDING = "start (landing)"


def measure(bench: Bench) -> None:
    """Adds `pipeline`: medians per stage, sums of stages, every repetition."""
    bench.results["pipeline"] = measure_month(bench, bench.workplace)


def measure_month(bench: Bench, place: Workplace) -> dict[str, Any]:
    """The month of a workplace; leaves its landed and its billed state saved."""
    landings, months = [], []
    for number in bench.repetitions():
        place.begin_from(EMPTY)
        landings.append(place.project.run("land", MONTH))
        bench.say_repetition("landing", number, f"{landings[-1].stages['landing'].wall:.2f} s")
    place.homes.save(LANDED)
    for number in bench.repetitions():
        place.begin_from(LANDED)
        months.append(place.project.run("month", MONTH))
        bench.say_repetition("mediation to reports", number, f"{total(months[-1].stages, COMPARED).wall:.2f} s")
    place.homes.save(BILLED)
    return summary(landings, months, bench.cores)


def summary(landings: Sequence[Repetition], months: Sequence[Repetition], cores: int) -> dict[str, Any]:
    """Medians per stage; sums are made of the medians of their parts."""
    landed = medians([_told_apart(item) for item in landings])
    billed = medians([item.stages for item in months])
    stages = {**landed, **billed}
    sums: dict[str, Figures] = {
        "topic to landed table": total(landed, (_START_OF_LANDING, "landing")),
        "landed to reports": total(billed, COMPARED),
        "topic to reports": total(stages, (_START_OF_LANDING, "landing", "reference", *COMPARED)),
        "landed to documents": total(billed, STAGES),
        "process: landing": medians([{"process": item.process} for item in landings])["process"],
        "process: landed to documents": medians([{"process": item.process} for item in months])["process"],
    }
    order = (_START_OF_LANDING, "landing", "reference", *STAGES)
    return {
        "stages": {name: stages[name].as_json(cores) for name in dict.fromkeys(order) if name in stages},
        "sums": {name: figures.as_json(cores) for name, figures in sums.items()},
        "checks_passed": landings[-1].checks + months[-1].checks,
        "repetitions": {
            "landing": [item.as_json(cores) for item in landings],
            "landed to documents": [item.as_json(cores) for item in months],
        },
    }


def _told_apart(repetition: Repetition) -> dict[str, Figures]:
    """The start of the landing process under another name than that of the other process."""
    return {_START_OF_LANDING if name == "start" else name: value for name, value in repetition.stages.items()}
