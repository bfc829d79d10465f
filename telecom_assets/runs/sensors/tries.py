"""When a failed request is made again: at once, after a pause that grows, or not while its run is going on.

Belongs here: the pauses and the decision, as pure functions of the newest run of a request; the tags of its runs. Does not
belong here: reading runs from the instance (`runs`), which requests there are (`plan`, `month_end`, …).

Why not Dagster's own retries (`dagster/max_retries`): they follow within a minute and then end. After a broker that is away for
twenty minutes, a lock that is held, or a disk that somebody clears an hour later, a person would have to start the run again.
"""

import datetime as dt
from dataclasses import dataclass
from enum import Enum

from telecom_assets.model.run_tags import HIDDEN_TAG_PREFIX

#: Tag of a run: its request, the same for all tries of one request. Hidden in the UI, like every tag without meaning to people.
REQUEST_TAG = f"{HIDDEN_TAG_PREFIX}telecom_request"
#: Tag of a run: the number of the try, from 2.
TRY_TAG = "telecom_assets/try"
#: Tag of a run: the id of the request's run before it.
AFTER_TAG = f"{HIDDEN_TAG_PREFIX}telecom_tried_before"
#: Tag of a run that `failed_runs_again` makes again when it fails; no other sensor asks for it again.
AGAIN_TAG = f"{HIDDEN_TAG_PREFIX}telecom_again_when_failed"
AGAIN = {AGAIN_TAG: "yes"}

#: Minutes to wait after the first, second and third failed try; the last number after every later try.
PAUSES = (1, 2, 5, 10)


class Outcome(Enum):
    """How a run ended, if it did."""

    AT_WORK = "at work"
    WENT_WELL = "went well"
    FAILED = "failed"


@dataclass(frozen=True)
class Try:
    """The newest run of a request: the number of the try, its run key, and when it ended (None: it is going on)."""

    run_id: str
    number: int
    run_key: str
    outcome: Outcome
    ended: dt.datetime | None = None


@dataclass(frozen=True)
class Ask:
    """Make the request now, as this try; `after` is the id of the run before it."""

    number: int
    after: str | None = None

    def key(self, state: str) -> str:
        """The run key. It holds the try and the run before, so that a state that occurs a second time gets a new key."""
        return f"{state}/{self.number}" + (f"/{self.after[:8]}" if self.after else "")

    def tags(self, request: str) -> dict[str, str]:
        """The tags of the run."""
        again = {TRY_TAG: str(self.number)} if self.number > 1 else {}
        return {REQUEST_TAG: request, **again, **({AFTER_TAG: self.after} if self.after else {})}


@dataclass(frozen=True)
class Wait:
    """Do not make the request now. It has failed `tries` times and is made again at `until`; None: its run is going on."""

    tries: int
    last: Try
    until: dt.datetime | None


def pause(tries: int) -> dt.timedelta:
    """How long a request waits after a number of failed tries, from 1."""
    return dt.timedelta(minutes=PAUSES[min(tries, len(PAUSES)) - 1])


def ask_or_wait(state: str, last: Try | None, now: dt.datetime) -> Ask | Wait:
    """Whether a request is made now.

    state: the state of the tables or of the topic for which the request is made; run keys begin with it. A run that succeeded
    begins a new count, unless the state is the same as before it: a run that changed nothing counts as failed.
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
