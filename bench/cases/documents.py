"""Cases `publish` and `invoices`: a month of many bills into PostgreSQL, and into XML documents.

Each customer that is active and postpaid gets a bill, with or without usage: many customers with few CDRs make many
bills through the project's own graph. The bills are made once, untimed.
"""

from dataclasses import replace
from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH, DataSpec
from bench.figures import Figures, medians
from bench.project_runs import Repetition
from bench.workplace import UNPUBLISHED

_CDRS = 20_000
#: Of the generator's customers, 87.3 % are active and postpaid.
_BILLED_SHARE = 0.87


def measure_publishing(bench: Bench) -> None:
    """Adds `publish`: the asset published_bills and its checks."""
    bench.results["publish"] = _measure(bench, "publish", "publishing", bench.options.bills)


def measure_invoices(bench: Bench) -> None:
    """Adds `invoices`: the asset invoices and its checks."""
    bench.results["invoices"] = _measure(bench, "invoices", "documents", bench.options.invoices)


def spec_of(base: DataSpec, bills: int) -> DataSpec:
    """The data that give at least so many bills."""
    return replace(base, cdrs=_CDRS, customers=round(bills / _BILLED_SHARE) + 50, heavy=False)


def _measure(bench: Bench, what: str, stage: str, bills: int) -> dict[str, Any]:
    place = bench.workplaces.at(spec_of(bench.options.spec, bills))
    repetitions: list[Repetition] = []
    for number in bench.repetitions():
        place.begin_from(UNPUBLISHED)
        repetitions.append(place.project.run(what, MONTH))
        figures = repetitions[-1].stages[stage]
        bench.say_repetition(what, number, f"{figures.rows:,} in {figures.wall:.2f} s")
    middle = medians([_with_process(item) for item in repetitions])
    return {
        "stages": {name: figures.as_json(bench.cores) for name, figures in middle.items()},
        "repetitions": [item.as_json(bench.cores) for item in repetitions],
    }


def _with_process(repetition: Repetition) -> dict[str, Figures]:
    return {**repetition.stages, "process": repetition.process}
