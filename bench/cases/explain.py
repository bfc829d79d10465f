"""Case `explain`: `telecom explain` of a record and of a bill in a month that is billed, each a whole command."""

from deltalake import DeltaTable

from bench.bench_run import Bench
from bench.figures import Figures, medians
from bench.workplace import SETTLED, Workplace

#: The commands, as they are named in the results.
BY_ID, WITH_DAY, USAGE, BILL = "a record", "a record, with --day", "a subscriber at a time", "a bill"


def measure(bench: Bench) -> None:
    """Adds `explain`: processes as a user waits for them, imports and the start of the engine included."""
    place, repetitions = bench.workplace, []
    place.begin_from(SETTLED)
    asked = _questions(place)
    for number in bench.repetitions():
        watched = {name: place.project.telecom("explain", *arguments, "--json") for name, arguments in asked.items()}
        repetitions.append({name: Figures(item.wall, item.cpu, item.peak_rss) for name, item in watched.items()})
        bench.say_repetition("telecom explain", number, ", ".join(f"{n} {w.wall:.2f} s" for n, w in watched.items()))
    bench.results["explain"] = {
        "commands": {name: item.as_json(bench.cores) for name, item in medians(repetitions).items()},
        "repetitions": [{name: item.as_json(bench.cores) for name, item in each.items()} for each in repetitions],
    }


def _questions(place: Workplace) -> dict[str, tuple[str, ...]]:
    """What is asked, of the first row of rated_cdrs as its files come."""
    rated = DeltaTable(str(place.project.homes.home / "warehouse" / "rated_cdrs")).to_pyarrow_dataset()
    # All rows of the columns: a scan that is given up (`head`) may hang.
    (row,) = rated.to_table(columns=["record_id", "customer_id", "event_date", "event_ts"]).slice(0, 1).to_pylist()
    return {
        BY_ID: (row["record_id"],),
        WITH_DAY: (row["record_id"], "--day", str(row["event_date"])),
        USAGE: ("--subscriber", row["customer_id"], "--at", f"{row['event_ts']:%Y-%m-%dT%H:%M:%SZ}"),
        BILL: ("--customer", row["customer_id"], "--month", place.dataset.spec.month),
    }
