"""Case `startup`: loading the code location, and ticks of the Kafka sensor when there is nothing to do."""

import statistics
import sys
from pathlib import Path

from bench.bench_run import Bench
from bench.dataset import SMALLEST
from bench.figures import Figures, medians
from bench.workplace import SETTLED

_VALIDATE = "dagster definitions validate"
_HELP = "telecom --help"


def measure(bench: Bench) -> None:
    """Adds `startup`: whole processes, and seconds of the first and of later ticks in one process."""
    project, repetitions, first, later = bench.workplace.project, [], [], []
    bench.workplace.begin_from(SETTLED)
    for number in bench.repetitions():
        dagster = Path(sys.executable).with_name("dagster")
        commands = {
            _VALIDATE: project.watch([dagster, "definitions", "validate"]),
            _HELP: project.telecom("--help"),
        }
        repetitions.append({name: Figures(item.wall, item.cpu, item.peak_rss) for name, item in commands.items()})
        ticks = project.report("ticks", SMALLEST)[0]["ticks"]
        first.append(ticks[0])
        later.append(statistics.median(ticks[1:]))
        bench.say_repetition(
            _VALIDATE, number, f"{commands[_VALIDATE].wall:.2f} s; a tick {ticks[0]:.3f} s, then {later[-1]:.3f} s"
        )
    middle = medians(repetitions)
    bench.results["startup"] = {
        "commands": {name: middle[name].as_json(bench.cores) for name in (_VALIDATE, _HELP)},
        "ticks": {
            "first tick of a process": round(statistics.median(first), 4),
            "later ticks": round(statistics.median(later), 4),
        },
        "repetitions": {
            "commands": [
                {name: figures.as_json(bench.cores) for name, figures in item.items()} for item in repetitions
            ],
            "first ticks": first,
            "later ticks": later,
        },
    }
