"""The log of raw_cdrs as a journal: every landing and every decision is a commit there, whose entry says what it did.

Belongs here: reading the entries, the state of landing that follows from them, and writing the tables that follow the log
(`landing_ranges`, `landing_decisions`, `displaced_days`). Does not belong here: the commits themselves (`landing`, `decisions`).

Rows and positions are one commit: its transaction versions are the next position of each part of a source, under the key
`<source>/<part>`. The tables that follow the log are for people and for sums. The next process that lands writes the rows that
they lack, so a process that died between a commit and its row in the ledger has lost nothing.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from resources.kafka import TopicState
from resources.warehouse import Decided, PinnedTable, Warehouse, WarehouseError, append_decided
from telecom_assets.intake.tables import DISPLACED_DAYS, LANDING_DECISIONS, LANDING_RANGES, RAW_CDRS

RAW, LEDGER = RAW_CDRS.name, LANDING_RANGES.name
#: The tables that follow the log of raw_cdrs.
FOLLOWERS = (LEDGER, LANDING_DECISIONS.name, DISPLACED_DAYS.name)

#: Keys in the log entries of raw_cdrs: of a landing, of a decision, and of the days whose outcome the commit may have changed.
LANDED, DECIDED, DISPLACED = "telecom.landed", "telecom.decided", "telecom.displaced_days"
#: Key in the ledger's transaction versions: the version of raw_cdrs up to which the ledger's rows are complete.
_UPTO = RAW
#: After this many versions without a landing (compactions) the ledger's version is moved on by a commit of its own.
_UNSEEN = 50

Kind = Literal["month_opened", "source_accepted", "positions_skipped", "warehouse_adopted", "copy_chosen"]


@dataclass(frozen=True)
class Decision:
    """A decision: a month opened by name, another source accepted, positions given up, a restored warehouse adopted, a copy chosen.

    Of a chosen copy `from_position` is its position, and `detail` its record id.
    """

    kind: Kind
    decided_at: dt.datetime
    month: str | None = None
    source_id: str | None = None
    source_part: int | None = None
    from_position: int | None = None
    to_position: int | None = None
    detail: str | None = None
    decided_by: str | None = None
    why: str | None = None

    @property
    def summary(self) -> str:
        """The decision in words, without its author and reason."""
        if self.kind == "month_opened":
            return f"month {self.month} opened"
        if self.kind == "source_accepted":
            return f"source {self.source_id} accepted; {self.detail}"
        if self.kind == "warehouse_adopted":
            return f"restored warehouse adopted; {self.detail}"
        if self.kind == "copy_chosen":
            place = f"partition {self.source_part} offset {self.from_position} of source {self.source_id}"
            return f"of the copies of record {self.detail} the one at {place} chosen"
        return (
            f"source {self.source_id} partition {self.source_part}: offsets {self.from_position} to "
            f"{(self.to_position or 0) - 1} given up, {self.detail}"
        )

    def said(self) -> dict[str, Any]:
        """The decision as a value of the log."""
        return {**vars(self), "decided_at": self.decided_at.isoformat()}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Decision":
        """The decision of a value of the log, or of a row of landing_decisions."""
        at = said["decided_at"]
        names = (name for name in cls.__dataclass_fields__ if name != "decided_at")
        moment = at if isinstance(at, dt.datetime) else dt.datetime.fromisoformat(at)
        return cls(decided_at=moment, **{name: said[name] for name in names})


@dataclass(frozen=True)
class Entry:
    """A commit of raw_cdrs that landing or a decision made."""

    version: int
    landed: Mapping[str, Any] | None
    decision: Decision | None
    displaced: Sequence[dt.date]
    #: Rows that the commit added, per day.
    rows: Mapping[dt.date, int]

    @property
    def ranges(self) -> list[tuple[int, int, int, int]]:
        """The landed ranges as (part, from, to, records)."""
        return [(part, start, end, count) for part, start, end, count in (self.landed or {}).get("ranges", ())]


@dataclass(frozen=True)
class LandingState:
    """The state of landing at one version of raw_cdrs, from the tables alone."""

    raw_version: int
    #: The current source, and its topic's name; None before the first landing.
    source_id: str | None
    topic: str | None
    #: The next position of each known part.
    ends: Mapping[int, int]
    decisions: Sequence[Decision]
    #: Commits that have no rows in the ledger yet.
    unsettled: Sequence[Entry]
    #: The version of raw_cdrs up to which the ledger is complete.
    settled: int = 0
    ledger_version: int = 0

    @property
    def opened_months(self) -> list[str]:
        return sorted({decision.month for decision in self.decisions if decision.month is not None})

    def ends_on(self, state: TopicState) -> dict[int, int]:
        """The next position per partition. A partition that was added to a known topic begins at 0, also if messages are gone."""
        added = {} if self.source_id is None else dict.fromkeys(state.partitions, 0)
        return {**added, **self.ends}


@dataclass(frozen=True)
class LandedSource:
    """A landed source: its next position and its number of records, by part."""

    source_id: str
    topic: str
    ends: Mapping[int, int]
    records: Mapping[int, int]
    #: Whether it is the current source, which landing goes on with.
    current: bool


def key(source_id: str, part: int) -> str:
    """The transaction identifier of a part's position."""
    return f"{source_id}/{part}"


def read_state(warehouse: Warehouse) -> LandingState:
    """The state at the newest version of raw_cdrs. Reads the ledgers, and the log entries that they do not have.

    Another process may land meanwhile. The ledger is read first, so that it knows no version that is not read here. Decisions are
    read last, since they are stored before the ledger is complete up to them; decisions of later versions are left out.
    """
    ledger = warehouse.pin(LEDGER)
    version = warehouse.version(RAW)
    settled = _settled(warehouse, ledger.version, version)
    unsettled = read_entries(warehouse, settled, version)
    sources = _sources(_all_ranges(ledger.arrow(), unsettled))
    source_id, topic, parts = sources[-1] if sources else (None, None, set())
    ends = {}
    for part in sorted(parts):
        end = warehouse.log(RAW).position(key(str(source_id), part), version)
        if end is None:
            raise WarehouseError(
                f"table {RAW} at {warehouse.path(RAW)} does not say how far partition {part} of topic {topic!r} was landed, "
                f"and {LEDGER} knows it: one of the two was replaced; restore both from the same backup"
            )
        ends[part] = end
    return LandingState(
        version, source_id, topic, ends, _decisions(warehouse, unsettled, version), unsettled, settled, ledger.version
    )


def assert_new_source(warehouse: Warehouse, source_id: str, parts: Iterable[int], version: int) -> None:
    """Raise WarehouseError when a source has positions but no rows in the ledger: it would be landed a second time."""
    if any(warehouse.log(RAW).position(key(source_id, part), version) is not None for part in parts):
        raise WarehouseError(
            f"table {RAW} at {warehouse.path(RAW)} holds rows of source {source_id}, and {LEDGER} knows nothing of it: rows of "
            f"{LEDGER} were deleted; nothing was landed, restore it from a backup, or remove its folder if the log of {RAW} is "
            "whole: it is written anew from that"
        )


def read_entries(warehouse: Warehouse, after: int, upto: int) -> list[Entry]:
    """The entries of the commits of raw_cdrs after one version, up to another. Commits of maintenance have none."""
    entries = []
    for version in range(after + 1, upto + 1):
        actions = warehouse.log(RAW).entry(version)
        if actions is None:
            raise WarehouseError(
                f"table {RAW} at {warehouse.path(RAW)}: its log has no version {version}, which {LEDGER} has not seen; "
                "restore the log, or the whole warehouse, from a backup"
            )
        said: Mapping[str, Any] = next((each["commitInfo"] for each in actions if "commitInfo" in each), {})
        if {LANDED, DECIDED} & set(said):
            decided = said.get(DECIDED)
            entries.append(
                Entry(
                    version,
                    said.get(LANDED),
                    Decision.read(decided) if decided else None,
                    [dt.date.fromisoformat(day) for day in said.get(DISPLACED, ())],
                    warehouse.log(RAW).rows_added(actions),
                )
            )
    return entries


def displaced_days(warehouse: Warehouse) -> dict[dt.date, int]:
    """The displaced days, each with the newest version of raw_cdrs that asks to mediate it again.

    Read from the table `displaced_days`, and from the log entries of commits that have no rows there yet. The ledger, which says
    which commits those are, is read before the table, since another process may write their rows meanwhile.
    """
    ledger_version = warehouse.version(LEDGER)
    version = warehouse.version(RAW)
    settled = _settled(warehouse, ledger_version, version)
    table = warehouse.pin(DISPLACED_DAYS.name).arrow()
    found = list(zip(table["event_date"].to_pylist(), table["raw_version"].to_pylist(), strict=True))
    found += [(day, entry.version) for entry in read_entries(warehouse, settled, version) for day in entry.displaced]
    newest: dict[dt.date, int] = {}
    for day, asked in found:
        newest[day] = max(asked, newest.get(day, 0))
    return newest


def source_decisions(warehouse: Warehouse) -> list[Decision]:
    """All decisions about sources, in their order: not the opened months and the chosen copies."""
    others = ("month_opened", "copy_chosen")
    return [decision for decision in read_state(warehouse).decisions if decision.kind not in others]


def copies_chosen(warehouse: Warehouse, upto: int) -> list[Decision]:
    """The copies that people have chosen up to a version of raw_cdrs, in the order of the choices.

    The ledger is read first: another process may write the rows of its followers meanwhile.
    """
    ledger_version, version = warehouse.version(LEDGER), warehouse.version(RAW)
    unsettled = read_entries(warehouse, _settled(warehouse, ledger_version, version), version)
    return [each for each in _decisions(warehouse, unsettled, upto) if each.kind == "copy_chosen"]


def landed_sources(warehouse: Warehouse) -> list[LandedSource]:
    """All sources, in the order in which they were first landed."""
    state = read_state(warehouse)
    rows = _all_ranges(warehouse.pin(LEDGER, version=state.ledger_version).arrow(), state.unsettled)
    found = []
    for source_id, topic, parts in _sources(rows):
        ends = {
            part: warehouse.log(RAW).position(key(source_id, part), state.raw_version) or 0 for part in sorted(parts)
        }
        records = dict.fromkeys(ends, 0)
        for row in rows:
            if row["source_id"] == source_id:
                records[row["source_part"]] += row["records"]
        found.append(LandedSource(source_id, topic, ends, records, source_id == state.source_id))
    return found


def last_landed(warehouse: Warehouse) -> dt.datetime | None:
    """The time of the last landing with messages, or else of the first landing, which had none. None before that."""
    state = read_state(warehouse)
    rows = _all_ranges(warehouse.pin(LEDGER, version=state.ledger_version).arrow(), state.unsettled)
    landed = [row["landed_at"] for row in rows if row["records"]]
    return max(landed) if landed else min((row["landed_at"] for row in rows), default=None)


def settle(warehouse: Warehouse) -> list[Entry]:
    """Write the missing rows of the tables that follow the log. Returns the commits that had none.

    Several processes may do so at once. The ledger's rows are one conditional commit, so each landing has its rows once. A day
    or a decision may be written twice, which means the same as once (`displaced_days`, `_decisions`).
    """

    def missing(_: PinnedTable) -> Decided[list[Entry]]:
        state = read_state(warehouse)
        if not state.unsettled and state.raw_version - state.settled < _UNSEEN:
            return Decided([], None)
        _follow(
            warehouse,
            DISPLACED_DAYS.name,
            [{"event_date": day, "raw_version": entry.version} for entry in state.unsettled for day in entry.displaced],
        )
        _follow(
            warehouse,
            LANDING_DECISIONS.name,
            [{"raw_version": entry.version, **vars(entry.decision)} for entry in state.unsettled if entry.decision],
        )
        rows = [row for entry in state.unsettled for row in _ledger_rows(entry)]
        return Decided(list(state.unsettled), rows, {_UPTO: state.raw_version})

    return append_decided(warehouse, LEDGER, missing)


def _settled(warehouse: Warehouse, ledger_version: int, raw_version: int) -> int:
    """The version of raw_cdrs up to which a version of the ledger is complete."""
    settled = warehouse.log(LEDGER).position(_UPTO, ledger_version) or 0
    if settled > raw_version:
        raise WarehouseError(
            f"table {RAW} at {warehouse.path(RAW)} is at version {raw_version}, and {LEDGER} has seen version {settled}: "
            "one of the two was replaced by an older copy; restore both from the same backup"
        )
    return settled


def _follow(warehouse: Warehouse, name: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        schema = warehouse.contracts[name].arrow_schema()
        warehouse.append_arrow(name, pa.Table.from_pylist(rows, schema=schema))


def _ledger_rows(entry: Entry) -> list[dict[str, Any]]:
    landed = entry.landed or {}
    return [
        {
            "source_id": landed["source_id"],
            "kafka_topic": landed["topic"],
            "source_part": part,
            "from_position": start,
            "to_position": end,
            "records": count,
            "raw_version": entry.version,
            "run_id": landed["run_id"],
            "landed_at": dt.datetime.fromisoformat(landed["landed_at"]),
        }
        for part, start, end, count in entry.ranges
    ]


def _all_ranges(ledger: pa.Table, unsettled: Iterable[Entry]) -> list[dict[str, Any]]:
    """The rows of the ledger and those of commits that it does not have yet, in the order of their landing."""
    rows = [*ledger.to_pylist(), *(row for entry in unsettled for row in _ledger_rows(entry))]
    return sorted(rows, key=lambda row: row["raw_version"])


def _sources(ranges: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, set[int]]]:
    """Sources in the order in which they were first landed: identity, topic, parts."""
    sources: dict[str, tuple[str, set[int]]] = {}
    for row in ranges:
        _, parts = sources.setdefault(row["source_id"], (row["kafka_topic"], set()))
        parts.add(row["source_part"])
    return [(source_id, topic, parts) for source_id, (topic, parts) in sources.items()]


def _decisions(warehouse: Warehouse, unsettled: Iterable[Entry], upto: int) -> list[Decision]:
    """All decisions up to a version of raw_cdrs in their order, each once."""
    known = {
        row["raw_version"]: Decision.read(row) for row in warehouse.pin(LANDING_DECISIONS.name).arrow().to_pylist()
    }
    known |= {entry.version: entry.decision for entry in unsettled if entry.decision}
    return [known[version] for version in sorted(known) if version <= upto]
