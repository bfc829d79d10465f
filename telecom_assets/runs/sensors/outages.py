"""Outages of Kafka as pure functions: when one begins, when it is reported, when it ends.

Does not belong here: asking the broker, calling the webhook, storing the state (`kafka_outage`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from telecom_assets.model.text import counted


@dataclass(frozen=True)
class Outage:
    """An outage since some moment. `seen`: the last look at which Kafka did not answer. `reason`: why, as a sentence.

    `failed`: a tick has failed because of it. `told`: the webhook knows of it. `ended`: when Kafka answered again, while the
    webhook does not know that yet.
    """

    since: dt.datetime
    seen: dt.datetime
    reason: str
    failed: bool = False
    told: bool = False
    ended: dt.datetime | None = None

    def is_long(self, now: dt.datetime, patience: dt.timedelta) -> bool:
        """Whether it has lasted long enough to be reported."""
        return self.failed or now - self.since >= patience

    def said(self, now: dt.datetime, patience: dt.timedelta, zone: dt.tzinfo) -> str:
        """The outage in words, with the next thing that happens; times are in the zone."""
        since, length = f"{self.since.astimezone(zone):%Y-%m-%d %H:%M}", counted(self.minutes(now), "minute")
        if self.ended is not None:
            return f"Kafka answers again at {self.ended.astimezone(zone):%H:%M}, after {length} (since {since})"
        if self.is_long(now, patience):
            return f"Kafka has been out of reach for {length}, since {since}: {self.reason}"
        due = f"{(self.since + patience).astimezone(zone):%H:%M}"
        return f"Kafka has been out of reach since {since}, which is told at {due}: {self.reason}"

    def minutes(self, now: dt.datetime) -> int:
        """Its length in whole minutes: up to now, or up to its end."""
        return int(((self.ended or now) - self.since).total_seconds() // 60)

    def began_message(self) -> dict[str, Any]:
        """The message to the webhook when the outage has lasted long enough."""
        return {"sensor": "kafka_outage", "event": "began", "since": self.since.isoformat(), "error": self.reason}

    def ended_message(self) -> dict[str, Any]:
        """The message to the webhook when the outage is over."""
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
        """The outage as a value for JSON."""
        return {
            name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in vars(self).items()
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Outage":
        """The outage of a value that `stored` made."""
        moments = {
            name: stored[name] and dt.datetime.fromisoformat(stored[name]) for name in ("since", "seen", "ended")
        }
        return cls(**{**stored, **moments})


def after_look(
    before: Outage | None, problem: str | None, now: dt.datetime, *, longest_gap: dt.timedelta
) -> Outage | None:
    """The outage after a look at Kafka; None when there is none. problem: why Kafka did not answer, None when it did.

    When the look before is longer ago than `longest_gap` (the daemon was down), an outage for which no tick has failed begins
    anew, since nothing is known of the time between. An outage that ends before it was reported is forgotten.
    """
    if problem is None:
        return replace(before, ended=before.ended or now) if before is not None and before.failed else None
    if before is None or (not before.failed and now - before.seen > longest_gap):
        return Outage(now, now, problem)
    return replace(before, seen=now, reason=problem, ended=None)
