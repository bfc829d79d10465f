"""When a request that failed is made again: at once, after a pause that grows, or not while its run is at work.

Belongs here: the pauses, and the decision, as pure functions of the newest run of a request; what its runs are tagged with.
Does not belong here: reading runs from the instance (`runs`), what is asked for (`plan`, `month_end`, …).

Why not Dagster's own retries (`dagster/max_retries`): they follow within a minute, and then nobody tries again; a broker that
is away for twenty minutes, a lock that is held, a disk that is full until somebody clears it, would need a hand.
"""

import datetime as dt
from dataclasses import dataclass
from enum import Enum

from telecom_assets.model.run_tags import HIDDEN_TAG_PREFIX

#: Tag of a run, hidden in the UI as all that tell people nothing: its request. All tries of one request have the same.
REQUEST_TAG = f"{HIDDEN_TAG_PREFIX}telecom_request"
#: Tag of a run: the number of the try, from 2.
TRY_TAG = "telecom_assets/try"
#: Tag of a run: the run of the request that came before it, and did not do.
AFTER_TAG = f"{HIDDEN_TAG_PREFIX}telecom_tried_before"
#: Tag of a run that `failed_runs_again` makes again when it fails: nobody else would.
AGAIN_TAG = f"{HIDDEN_TAG_PREFIX}telecom_again_when_failed"
AGAIN = {AGAIN_TAG: "yes"}

#: Minutes to wait after the first, second, third failed try; the last of them after every later one.
PAUSES = (1, 2, 5, 10)


class Outcome(Enum):
    """What became of a run."""

    AT_WORK = "at work"
    WENT_WELL = "went well"
    FAILED = "failed"


@dataclass(frozen=True)
class Try:
    """The newest run of a request: which try it was, by which key it was asked for, and when it ended (None: at work)."""

    run_id: str
    number: int
    run_key: str
    outcome: Outcome
    ended: dt.datetime | None = None


@dataclass(frozen=True)
class Ask:
    """Make the request now, as this try; `after` is the run that came before it."""

    number: int
    after: str | None = None

    def key(self, state: str) -> str:
        """The run key: it tells the try, and what it follows, so that a state that comes back is asked for again."""
        return f"{state}/{self.number}" + (f"/{self.after[:8]}" if self.after else "")

    def tags(self, request: str) -> dict[str, str]:
        """Tags of the run."""
        again = {TRY_TAG: str(self.number)} if self.number > 1 else {}
        return {REQUEST_TAG: request, **again, **({AFTER_TAG: self.after} if self.after else {})}


@dataclass(frozen=True)
class Wait:
    """Do not make the request now: it has failed so often, and is made again at `until`; None: its run is at work."""

    tries: int
    last: Try
    until: dt.datetime | None


def pause(tries: int) -> dt.timedelta:
    """How long a request waits after a number of failed tries, from 1."""
    return dt.timedelta(minutes=PAUSES[min(tries, len(PAUSES)) - 1])


def decide(state: str, last: Try | None, now: dt.datetime) -> Ask | Wait:
    """Whether a request is made now.

    `state` is what the request is made for, as the key of its runs begins. A run that went well begins a new count, unless
    everything is as it was before it: then it was of no use, and counts as one that failed.
    """
    if last is None:
        return Ask(1)
    if last.outcome is Outcome.AT_WORK or last.ended is None:
        return Wait(last.number, last, None)
    if last.outcome is Outcome.WENT_WELL and not last.run_key.startswith(f"{state}/"):
        return Ask(1, last.run_id)
    due = last.ended + pause(last.number)
    return Ask(last.number + 1, last.run_id) if now >= due else Wait(last.number, last, due)


def said(what: str, wait: Wait, why: str, zone: dt.tzinfo) -> str:
    """Why a request waits, in words: `landing failed 3 times, last at 10:32: no Kafka; tried again at 10:42`."""
    if wait.until is None or wait.last.ended is None:
        return f"{what} is at work"
    at = f"{wait.last.ended.astimezone(zone):%H:%M}"
    again = f"tried again at {wait.until.astimezone(zone):%H:%M}"
    if wait.last.outcome is Outcome.WENT_WELL:
        return f"{what} went well at {at} and left as much to do as before; {again}"
    times = f"once, at {at}" if wait.tries == 1 else f"{wait.tries} times, last at {at}"
    return f"{what} failed {times}" + (f": {why}" if why else "") + f"; {again}"
