"""Cases `publish`, `invoices` and `close`: a month of many bills into PostgreSQL, into XML documents, and closed.

Each customer that is active and postpaid gets a bill, with or without usage: many customers with few CDRs make many
bills through the project's own graph. The bills are made once, untimed.
"""

from dataclasses import replace
from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH, DataSpec
from bench.figures import Figures, medians
from bench.project_runs import Repetition
from bench.workplace import BILLED, UNPUBLISHED

_CDRS = 20_000
#: Of the generator's customers, 87.3 % are active and postpaid.
_BILLED_SHARE = 0.87
#: As many bills are closed at most: each becomes a PDF.
_CLOSED = 10_000


def measure_publishing(bench: Bench) -> None:
    """Adds `publish`: the asset published_bills and its checks."""
    bench.results["publish"] = _measure(bench, "publish", "publishing", bench.options.bills)


def measure_invoices(bench: Bench) -> None:
    """Adds `invoices`: the asset invoices and its checks."""
    bench.results["invoices"] = _measure(bench, "invoices", "documents", bench.options.invoices)


def measure_close(bench: Bench) -> None:
    """Adds `close`: `telecom bill close` as a user waits for it, with the documents of all bills as XML, UBL and PDF."""
    place = bench.workplaces.at(spec_of(bench.options.spec, min(_CLOSED, bench.options.invoices)))
    decided = ("--month", place.dataset.spec.month, "--by", "bench")
    repetitions = []
    for number in bench.repetitions():
        place.begin_from(BILLED)
        place.project.telecom("bill", "approve", *decided)
        watched = place.project.telecom("bill", "close", *decided)
        bills = place.project.bills()
        repetitions.append({"close": Figures(watched.wall, watched.cpu, watched.peak_rss, bills)})
        bench.say_repetition("close", number, f"{bills:,} bills in {watched.wall:.2f} s")
    bench.results["close"] = {
        "stages": {name: item.as_json(bench.cores) for name, item in medians(repetitions).items()},
        "repetitions": [{name: item.as_json(bench.cores) for name, item in each.items()} for each in repetitions],
    }


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
