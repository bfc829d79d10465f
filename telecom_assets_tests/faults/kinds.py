"""Kinds of fault: what may befall the processes of two homes. A new kind is a function and a line in KINDS.

Belongs here: which signal, when, and what the others do meanwhile. Every kind returns when its processes have ended. A
process that nobody kills must end well, with this one exception: of two homes that mediate or bill at once, the slower may
be refused, and says so.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from telecom_assets_tests.faults.processes import Died, Running, WentWrong
from telecom_assets_tests.faults.town import HOMES, PARTS, Town
from telecom_assets_tests.faults.work import Trips

#: What a home does, and how often it is that.
TASKS = {"land": 84, "open": 6, "maintain": 5, "mediate": 4, "month": 1}
#: Tasks that are no run of Dagster's.
WITHOUT_RUNS = ("land", "open", "maintain")
#: What one home may be told when another one works at the same: nothing was changed, something must be done first, or (in
#: the end) that what has landed since is not mediated, or not in the ledger yet.
REFUSALS = (
    "run it again",
    "was never mediated",
    "landed since",
    "mediate",
    "rate the",
    "overtaken",
    "written after",
    "received = cleaned",
    "consumed",
)
#: How much longer than a landing a task takes, about, and how many more steps.
_LONGER = {"land": 1, "open": 1, "maintain": 2, "mediate": 3, "month": 8}


@dataclass(frozen=True)
class Kind:
    """One kind of fault, and how often it is chosen."""

    weight: int
    befalls: Callable[[Town], None]


def nothing(town: Town) -> None:
    """A home works undisturbed: nothing is refused."""
    task, process = _begun(town)
    _answered(town, task, process, alone=True)


def killed(town: Town) -> None:
    """A home is killed at a random moment; more is sent meanwhile."""
    task, process = _begun(town)
    town.send(town.rng.randrange(5))
    _killed_at(town, process, _moment(town, task))


def killed_at_a_step(town: Town) -> None:
    """A home is killed before or after one of its own steps."""
    task = _task(town)
    call = town.rng.randrange(1, town.steps * _LONGER[task])
    town.note(f"killed at step {call}")
    process = town.begin(task, town.rng.choice(HOMES), trips=Trips(call, town.rng.random() < 0.5, killed=True))
    try:
        _answered(town, task, process, alone=True)
    except Died:
        town.happened("killed")


def stopped(town: Town) -> None:
    """A home is stopped (SIGSTOP) at a random moment, another one works, and the first goes on or is killed."""
    home = town.rng.choice(HOMES)
    task, process = _begun(town, home)
    if not process.ended(_moment(town, task)):
        process.signal(signal.SIGSTOP)
        town.happened("stopped")
    _another_works(town, task, home)
    if town.rng.random() < 0.4:
        _killed_at(town, process, 0)
        return
    process.signal(signal.SIGCONT)
    town.note("goes on")
    _ends(town, task, process)


def stopped_at_a_step(town: Town) -> None:
    """A home stands before or after one of its own steps while another one works; then it goes on or is killed."""
    task, home = _task(town), town.rng.choice(HOMES)
    call = town.rng.randrange(1, town.steps * _LONGER[task])
    town.note(f"stands at step {call}")
    process = town.begin(task, home, trips=Trips(call, town.rng.random() < 0.5, killed=False))
    if process.halted_or_done("a step"):
        town.happened("stopped")
        _another_works(town, task, home)
        if town.rng.random() < 0.4:
            _killed_at(town, process, 0)
            return
        town.note("goes on")
        process.goes_on()
    _ends(town, task, process)


def at_once(town: Town) -> None:
    """Both homes work at the same time; more is sent meanwhile."""
    both = [_begun(town, home) for home in HOMES]
    town.happened("at once")
    town.send(town.rng.randrange(10))
    for task, process in both:
        _ends(town, task, process)


def at_once_and_one_killed(town: Town) -> None:
    """Both homes work at the same time, and one of them is killed."""
    both = [_begun(town, home) for home in HOMES]
    town.rng.shuffle(both)
    (task, victim), (other_task, other) = both
    town.happened("at once")
    _killed_at(town, victim, _moment(town, task))
    _ends(town, other_task, other)


def retention(town: Town) -> None:
    """Retention takes messages that have landed."""
    kafka, table = town.shared.kafka, town.shared.table("raw_cdrs")
    part = town.rng.randrange(PARTS)
    end = table.transaction_version(f"{kafka.topic_id()}/{part}") or 0
    before = town.rng.randrange(end + 1)
    town.note(f"retention takes what lies before {before} of part {part}")
    if before > kafka.topic_state().partitions[part].earliest:
        admin = kafka.admin()
        [deleted] = admin.delete_records([TopicPartition(kafka.topic, part, before)]).values()
        deleted.result(30)
    _ends(town, *_begun(town))


KINDS = {
    "nothing": Kind(2, nothing),
    "killed": Kind(6, killed),
    "killed at a step": Kind(6, killed_at_a_step),
    "stopped": Kind(4, stopped),
    "stopped at a step": Kind(6, stopped_at_a_step),
    "at once": Kind(4, at_once),
    "at once and one killed": Kind(4, at_once_and_one_killed),
    "retention": Kind(1, retention),
}


def befall(town: Town, number: int) -> None:
    """One round: messages are sent, and something happens."""
    [name] = town.rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])
    town.log.append([f"round {number}: {name}"])
    town.send(town.rng.randrange(1, 40))
    KINDS[name].befalls(town)


# ------------------------------------------------------------------------------------------------------------- inside


def _task(town: Town) -> str:
    [task] = town.rng.choices(list(town.tasks), list(town.tasks.values()))
    return str(task)


def _begun(town: Town, home: int | None = None) -> tuple[str, Running]:
    task = _task(town)
    return task, town.begin(task, home or town.rng.choice(HOMES))


def _another_works(town: Town, task: str, home: int) -> None:
    """What is done while a task of a home stands, to its end. Runs of one home would wait for the place in a pool."""
    town.send(town.rng.randrange(5))
    homes = [each for each in HOMES if each != home or task in WITHOUT_RUNS]
    _ends(town, *_begun(town, town.rng.choice(homes)))


def _ends(town: Town, task: str, process: Running) -> None:
    """A process that nobody kills ends well."""
    _answered(town, task, process, alone=False)


def _killed_at(town: Town, process: Running, moment: float) -> None:
    """Kill a process after so many seconds, unless it has ended before."""
    if not process.ended(moment):
        town.happened("killed")
    process.kill()


def _answered(town: Town, task: str, process: Running, *, alone: bool) -> None:
    try:
        answer = process.answer()
    except WentWrong as wrong:
        raise AssertionError(f"{', '.join(town.log[-1])}: {task}: {wrong}") from wrong
    failures = answer["failures"] if task == "month" else answer if task == "mediate" else []
    unexpected = [each for each in failures if alone or not any(sign in each for sign in REFUSALS)]
    assert not unexpected, f"{', '.join(town.log[-1])}: {task}: {unexpected}"


def _moment(town: Town, task: str) -> float:
    """A moment of a task's usual time."""
    return (
        town.rng.uniform(0, 1.1) * town.usual * {"land": 1, "open": 1, "maintain": 2, "mediate": 5, "month": 12}[task]
    )
