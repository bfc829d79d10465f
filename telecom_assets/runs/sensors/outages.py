"""What is known of an outage of Kafka, and what is to be told of it: pure.

Belongs here: when an outage begins, is told of, ends. Does not belong here: asking the broker, the webhook, where the state is
kept (`kafka_outage`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from telecom_assets.model.text import counted


@dataclass(frozen=True)
class Outage:
    """Kafka has not answered since a moment; `seen` is the last look that found it so, `reason` our sentence of that look.

    `failed`: a tick has failed of it. `told`: the webhook has it. `ended`: Kafka answers again, and that is not told yet.
    """

    since: dt.datetime
    seen: dt.datetime
    reason: str
    failed: bool = False
    told: bool = False
    ended: dt.datetime | None = None

    def is_long(self, now: dt.datetime, patience: dt.timedelta) -> bool:
        """Whether it is to be told of."""
        return self.failed or now - self.since >= patience

    def said(self, now: dt.datetime, patience: dt.timedelta, zone: dt.tzinfo) -> str:
        """In words, with what becomes of it; times are those of a zone."""
        since, length = f"{self.since.astimezone(zone):%Y-%m-%d %H:%M}", counted(self.minutes(now), "minute")
        if self.ended is not None:
            return f"Kafka answers again at {self.ended.astimezone(zone):%H:%M}, after {length} (since {since})"
        if self.is_long(now, patience):
            return f"Kafka has been out of reach for {length}, since {since}: {self.reason}"
        due = f"{(self.since + patience).astimezone(zone):%H:%M}"
        return f"Kafka has been out of reach since {since}, which is told at {due}: {self.reason}"

    def minutes(self, now: dt.datetime) -> int:
        """Its length so far, or in all, in whole minutes."""
        return int(((self.ended or now) - self.since).total_seconds() // 60)

    def began_message(self) -> dict[str, Any]:
        """What the webhook gets when it has lasted for a while."""
        return {"sensor": "kafka_outage", "event": "began", "since": self.since.isoformat(), "error": self.reason}

    def ended_message(self) -> dict[str, Any]:
        """What the webhook gets when it is over."""
        assert self.ended is not None
        return {
            "sensor": "kafka_outage",
            "event": "ended",
            "since": self.since.isoformat(),
            "until": self.ended.isoformat(),
            "minutes": self.minutes(self.ended),
            "error": self.reason,
        }

    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in vars(self).items()
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Outage":
        """From what `stored` gave."""
        moments = {
            name: stored[name] and dt.datetime.fromisoformat(stored[name]) for name in ("since", "seen", "ended")
        }
        return cls(**{**stored, **moments})


def after_look(
    before: Outage | None, problem: str | None, now: dt.datetime, *, longest_gap: dt.timedelta
) -> Outage | None:
    """What is known after a look at Kafka, which found a problem or none.

    Where nobody looked for longer than `longest_gap` (the daemon did not run) an outage that no tick has failed of begins
    anew: nobody knows of the time between. One that ends before anybody was told of it is none.
    """
    if problem is None:
        return replace(before, ended=before.ended or now) if before is not None and before.failed else None
    if before is None or (not before.failed and now - before.seen > longest_gap):
        return Outage(now, now, problem)
    return replace(before, seen=now, reason=problem, ended=None)
