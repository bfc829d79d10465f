"""The share of the newest landing that is malformed: a producer may have changed its format, or a file held no CDRs.

Belongs here: the share of malformed messages, computed from the tables, so that it can be computed again at any time. Does not
belong here: what makes a message malformed (`telecom_assets.intake.admission`), how a verdict is shown (`telecom_assets.books`).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from operator import itemgetter, or_
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS

#: How many malformed messages are shown by their positions.
_SHOWN = 5


def few_are_malformed(warehouse: Warehouse, most: Decimal) -> Verdict:
    """At most this share of the messages of the newest landing is malformed: neither UTF-8 nor one JSON object.

    The newest landing is everything that the last run of the ledger landed; a run that found no messages is not in the ledger.
    A landing without messages passes.
    """
    ledger = warehouse.pin(LANDING_RANGES.name).arrow().to_pylist()
    last_run = max(ledger, key=itemgetter("raw_version"))["run_id"] if ledger else None
    landed = [row for row in ledger if row["run_id"] == last_run]
    messages = sum(row["records"] for row in landed)
    count, sample = _malformed(warehouse.pin(RAW_CDRS.name), landed) if messages else (0, [])
    share = Decimal(count) / messages if messages else Decimal(0)
    findings = [
        f"{count:,} of the {messages:,} messages that landed last are malformed, {_percent(share)}: "
        f"{', '.join(sample)}{' and others' if count > len(sample) else ''}; see what is sent to the topic"
    ]
    figures = {
        "malformed": count,
        "messages": messages,
        "share": f"{share:.4f}",
        "threshold": f"{most:f}",
        "sample": ", ".join(sample),
    }
    return Verdict(
        f"at most {_percent(most)} of a landing is malformed",
        findings if share > most else [],
        figures,
        otherwise=f"more than {_percent(most)} of a landing is malformed",
    )


def _malformed(raw: PinnedTable, landed: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """The number of malformed rows of these ranges, and the positions of the first of them."""
    rows = raw.all().where(F.col("admission_error").isNotNull() & reduce(or_, map(_within, _joined(landed))))
    count = rows.count()
    if not count:
        return 0, []
    first = rows.select("source_part", "source_position", "admission_error")
    shown = first.orderBy("source_part", "source_position").limit(_SHOWN).collect()
    return count, [f"partition {part} offset {position} ({error})" for part, position, error in shown]


def _joined(landed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The ranges with adjacent ones joined: a run lands a partition chunk by chunk."""
    joined: list[dict[str, Any]] = []
    for row in sorted(landed, key=itemgetter("source_id", "source_part", "from_position", "to_position")):
        before = joined[-1] if joined else None
        if before and (before["source_id"], before["source_part"], before["to_position"]) == (
            row["source_id"],
            row["source_part"],
            row["from_position"],
        ):
            before["to_position"] = row["to_position"]
        else:
            joined.append(dict(row))
    return joined


def _within(landed: Mapping[str, Any]) -> Column:
    position = F.col("source_position")
    within: Column = (
        (F.col("source_id") == landed["source_id"])
        & (F.col("source_part") == landed["source_part"])
        & (position >= landed["from_position"])
        & (position < landed["to_position"])
    )
    return within


def _percent(share: Decimal) -> str:
    """A share in percent, with two decimals at most."""
    text = f"{share * 100:.2f}"
    return f"{text.rstrip('0').rstrip('.')} %"
