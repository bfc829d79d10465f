"""Case `pipeline`: the month from the topic to the documents, with Dagster and all checks.

Two processes a repetition: one lands the topic into an empty home, one takes what was landed to the documents.
"""

from bench.context import Bench
from bench.dataset import MONTH
from bench.figures import Figures, medians, total
from bench.homes import BILLED, EMPTY, LANDED
from bench.project_runs import Repetition
from bench.stage_names import COMPARED, STAGES


def measure(bench: Bench) -> None:
    """Adds `pipeline`: medians per stage, sums of stages, every repetition."""
    landings, months = [], []
    for number in range(1, bench.repeats + 1):
        bench.begin_from(EMPTY)
        landings.append(bench.project.run("land", MONTH))
        bench.say(f"landing {number} of {bench.repeats}: {landings[-1].stages['landing'].wall:.2f} s")
    bench.homes.save(LANDED)
    for number in range(1, bench.repeats + 1):
        bench.begin_from(LANDED)
        months.append(bench.project.run("month", MONTH))
        compared = total(months[-1].stages, COMPARED)
        bench.say(f"mediation to reports {number} of {bench.repeats}: {compared.wall:.2f} s")
    bench.homes.save(BILLED)
    bench.results["pipeline"] = summary(landings, months, bench.cores)


def summary(landings: list[Repetition], months: list[Repetition], cores: int) -> dict[str, object]:
    """Medians per stage; sums are made of the medians of their parts."""
    landed = medians([_renamed(item) for item in landings])
    billed = medians([item.stages for item in months])
    stages = {**landed, **billed}
    landing = total(landed, ["start (landing)", "landing"])
    compared = total(billed, COMPARED)
    sums: dict[str, Figures] = {
        "topic to landed table": landing,
        "landed to reports": compared,
        "topic to reports": total(stages, ["start (landing)", "landing", "reference", *COMPARED]),
        "landed to documents": total(billed, STAGES),
        "process: landing": medians([{"process": item.process} for item in landings])["process"],
        "process: landed to documents": medians([{"process": item.process} for item in months])["process"],
    }
    return {
        "stages": {name: figures.as_json(cores) for name, figures in stages.items()},
        "sums": {name: figures.as_json(cores) for name, figures in sums.items()},
        "checks_passed": landings[-1].checks + months[-1].checks,
        "repetitions": {
            "landing": [item.as_json(cores) for item in landings],
            "landed to documents": [item.as_json(cores) for item in months],
        },
    }


def _renamed(repetition: Repetition) -> dict[str, Figures]:
    """The start of the landing process, told apart from that of the other one."""
    return {"start (landing)" if name == "start" else name: value for name, value in repetition.stages.items()}
