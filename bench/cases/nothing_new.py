"""Case `nothing-new`: `telecom run` of a month that is billed already, when nothing has come since: the whole command."""

from bench.bench_run import Bench
from bench.figures import Figures, medians
from bench.workplace import SETTLED

_NAME = "telecom run, nothing new"


def measure(bench: Bench) -> None:
    """Adds `nothing-new`: the process as a user waits for it, imports included."""
    place, repetitions = bench.workplace, []
    for number in bench.repetitions():
        place.begin_from(SETTLED)
        watched = place.project.telecom("run", "--month", place.dataset.spec.month, "--json")
        repetitions.append({_NAME: Figures(watched.wall, watched.cpu, watched.peak_rss)})
        bench.say_repetition(_NAME, number, f"{watched.wall:.2f} s")
    bench.results["nothing-new"] = {
        _NAME: medians(repetitions)[_NAME].as_json(bench.cores),
        "repetitions": [item[_NAME].as_json(bench.cores) for item in repetitions],
    }
