"""The factory: from a verdict function to a Dagster check, which is blocking unless it only advises.

Belongs here: how a check learns which partitions it is about, and how a verdict is shown in the UI.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import dagster as dg

from resources.delta import Partitions, PinnedTable
from telecom_assets.assets.common import as_metadata
from telecom_assets.connections import Connections
from telecom_assets.conservation import Verdict
from telecom_assets.failures import telling
from telecom_assets.months import month_days, months_between
from telecom_assets.partitions import DAILY, MONTHLY
from telecom_assets.schemas import TABLES
from telecom_assets.side_by_side import side_by_side


@dataclass(frozen=True)
class Scope:
    """What a check looks at: the partitions of its run (None: everything there is), and everything reachable."""

    connections: Connections
    days: Partitions | None
    months: Partitions | None

    def pin(self, name: str) -> PinnedTable:
        """The newest version of a table, narrowed to the run's partitions."""
        partition_by = TABLES[name].partition_by
        partitions = {"event_date": self.days, "billing_period": self.months, None: None}[partition_by]
        return self.connections.warehouse.pin(name, partitions)

    @property
    def periods(self) -> list[str]:
        """The billing periods of the run, or all that were billed."""
        if self.months is not None:
            return months_between(self.months.first, self.months.last)
        bills = self.connections.warehouse.pin("facturation_complete")
        return sorted(bills.rows_by_partition())


@dataclass(frozen=True)
class Check:
    """One check: its name, what it says, how it is decided, and the other assets it reads.

    One that is `advisory` warns of what may be meant, and stops nothing.
    """

    name: str
    description: str
    decide: Callable[[Scope], Verdict]
    reads: Sequence[str] = ()
    advisory: bool = False


def guard(
    name: str, partitions_def: dg.PartitionsDefinition | None, checks: Mapping[str, Sequence[Check]]
) -> dg.AssetChecksDefinition:
    """All checks of some assets, which are made together, as one step."""
    by_key = {dg.AssetCheckKey(dg.AssetKey(asset), check.name): check for asset in checks for check in checks[asset]}

    @dg.multi_asset_check(
        name=f"{name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=asset,
                description=check.description,
                blocking=not check.advisory,
                additional_deps=list(check.reads),
                partitions_def=partitions_def,
            )
            for asset in checks
            for check in checks[asset]
        ],
        can_subset=True,
    )
    @telling
    def run_checks(
        context: dg.AssetCheckExecutionContext, connections: dg.ResourceParam[Connections]
    ) -> Iterator[dg.AssetCheckResult]:
        scope = _scope(context, partitions_def, connections)
        keys = sorted(context.selected_asset_check_keys, key=list(by_key).index)
        verdicts = side_by_side(partial(by_key[key].decide, scope) for key in keys)
        for key, verdict in zip(keys, verdicts, strict=True):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.WARN if by_key[key].advisory else dg.AssetCheckSeverity.ERROR,
                description=verdict.summary,
                metadata=as_metadata(verdict.figures),
            )

    return run_checks


def _scope(
    context: dg.AssetCheckExecutionContext, partitions_def: dg.PartitionsDefinition | None, connections: Connections
) -> Scope:
    if partitions_def is None or not (context.has_partition_key or context.has_partition_key_range):
        return Scope(connections, None, None)
    if context.has_partition_key_range:
        first, last = context.partition_key_range.start, context.partition_key_range.end
    else:
        first = last = context.partition_key
    if partitions_def is MONTHLY:
        return Scope(connections, Partitions(month_days(first)[0], month_days(last)[-1]), Partitions(first, last))
    assert partitions_def is DAILY
    return Scope(
        connections,
        Partitions(dt.date.fromisoformat(first), dt.date.fromisoformat(last)),
        Partitions(first[:7], last[:7]),
    )
