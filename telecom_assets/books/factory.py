"""The factory of checks: makes a Dagster check from a verdict function. A check is blocking unless it is advisory.

Belongs here: how a check learns which partitions it is about, and that a missing table is a finding.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dagster as dg

from resources.postgres import PostgresConnection
from resources.warehouse import MissingTable, Partitions, PinnedTable, Warehouse
from telecom_assets.books.shown import as_table, differing, differing_not_shown, looked_at
from telecom_assets.books.verdict import Verdict, asked
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import as_metadata
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.months import month_days, months_between
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from telecom_assets.record_types.in_force import RecordTypes

#: Tag of a run that makes checks alone: the month that they are about.
CHECKED_MONTH_TAG = "telecom/month"


@dataclass(frozen=True)
class CheckInputs:
    """What a check reads: the project's resources, and the days and months of its run (None: all there are).

    full: nothing is left for another night.
    """

    settings: Settings
    warehouse: Warehouse
    postgres: OnDemand[PostgresConnection]
    clock: Clock
    record_types: RecordTypes
    days: Partitions | None = None
    months: Partitions | None = None
    full: bool = False

    def over(self, first: str, last: str) -> "CheckInputs":
        """The same, narrowed to the days, or the months, from first to last, as partition keys."""
        if len(first) == len("yyyy-MM"):
            days = Partitions(month_days(first)[0], month_days(last)[-1])
        else:
            days = Partitions(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
        return replace(self, days=days, months=Partitions(f"{days.first:%Y-%m}", f"{days.last:%Y-%m}"))

    def pin(self, name: str) -> PinnedTable:
        """The newest version of a table, narrowed to the run's partitions."""
        partition_by = self.warehouse.contracts[name].partition_by
        partitions = {"event_date": self.days, "billing_period": self.months, None: None}[partition_by]
        return self.warehouse_with(name).pin(name, partitions)

    def pin_period(self, name: str, period: str) -> PinnedTable:
        """The newest version of a table, narrowed to one month."""
        return self.warehouse_with(name).pin_period(name, period)

    def warehouse_with(self, *names: str) -> Warehouse:
        """The warehouse, once these tables exist. Raises MissingTable: anywhere else a missing table is read as an empty one."""
        warehouse = self.warehouse
        for name in names:
            if not warehouse.exists(name):
                raise MissingTable(
                    f"table {name} is not there ({warehouse.path(name)}): nothing was ever written to it"
                )
        return warehouse

    @property
    def periods(self) -> list[str]:
        """The billing periods of the run, or all that were billed."""
        if self.months is not None:
            return months_between(self.months.first, self.months.last)
        bills = self.pin("facturation_complete")
        return sorted(bills.rows_by_partition())


@dataclass(frozen=True)
class Check:
    """One check: its name, what it says, how it is judged.

    reads: other assets of the same guard whose tables the check reads too; it waits for them. (Assets of other guards need not
    be named: the check's own asset has waited for them. Named, a failed check of theirs would stop this one, even in a run
    of checks alone.) advisory: the check warns of something that may be intended, and stops no run.
    """

    name: str
    description: str
    judge: Callable[[CheckInputs], Verdict]
    reads: Sequence[str] = ()
    advisory: bool = False


@dataclass(frozen=True)
class Guard:
    """All checks of some assets, which are made together, as one step."""

    name: str
    checks: Mapping[str, Sequence[Check]]

    def keyed(self) -> dict[dg.AssetCheckKey, Check]:
        """The checks by their keys, in their order."""
        return {
            dg.AssetCheckKey(dg.AssetKey(asset), check.name): check
            for asset in self.checks
            for check in self.checks[asset]
        }


def verdict_of(check: Check, inputs: CheckInputs) -> Verdict:
    """The verdict of one check. A missing table is a finding."""
    try:
        return check.judge(inputs)
    except MissingTable as error:
        return Verdict(check.description.rstrip("."), [str(error)])


def step_of(guard: Guard) -> dg.AssetChecksDefinition:
    """The step that makes the checks of a guard.

    No check has partitions, not even a check of a table of days or months. Dagster (1.13) stores the result of a range run
    without a partition, then shows a partitioned check as skipped, and cannot execute it from the asset's page. The metadata
    say which days or months a check has read.
    """
    by_key = guard.keyed()

    @dg.multi_asset_check(
        name=f"{guard.name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=key.asset_key,
                description=check.description,
                blocking=not check.advisory,
                additional_deps=list(check.reads),
            )
            for key, check in by_key.items()
        ],
        can_subset=True,
    )
    @with_expected_failures
    def run_checks(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
        postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
        clock: dg.ResourceParam[Clock],
        record_types: dg.ResourceParam[RecordTypes],
    ) -> Iterator[dg.AssetCheckResult]:
        inputs = _narrowed(CheckInputs(settings, warehouse, postgres, clock, record_types), context.run.tags)
        keys = sorted(context.selected_asset_check_keys, key=list(by_key).index)
        verdicts = asked(partial(verdict_of, by_key[key], inputs) for key in keys)
        for key, verdict in zip(keys, verdicts, strict=True):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.WARN if by_key[key].advisory else dg.AssetCheckSeverity.ERROR,
                description=verdict.summary,
                metadata={**as_metadata(verdict.figures), **_tables(verdict, inputs, key.asset_key.path[-1])},
            )

    return run_checks


def _tables(verdict: Verdict, inputs: CheckInputs, asset: str) -> dict[str, Any]:
    """Metadata of a result: the rows that differ, and the days or months of the asset's table that were read."""
    metadata: dict[str, Any] = {}
    if not verdict.passed:
        metadata["differs"] = as_table(differing(verdict))
        if more := differing_not_shown(verdict):
            metadata["differs_not_shown"] = more
    unit = {"event_date": "day", "billing_period": "month"}.get(
        getattr(inputs.warehouse.contracts.get(asset), "partition_by", None) or ""
    )
    if unit is None:
        return metadata
    with suppress(MissingTable):
        table = inputs.pin(asset)
        rows, more = looked_at(verdict, table.rows_by_partition(), table.partitions, unit)
        metadata[f"{unit}s"] = as_table(rows)
        if more:
            metadata[f"{unit}s_not_shown"] = more
    return metadata


def _narrowed(inputs: CheckInputs, tags: Mapping[str, str]) -> CheckInputs:
    """The inputs, narrowed to the run: to its days or months, else to the month that a tag names; else everything there is."""
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get(PARTITION_NAME_TAG) or tags.get(CHECKED_MONTH_TAG)
    return inputs if first is None else inputs.over(first, tags.get(ASSET_PARTITION_RANGE_END_TAG, first))
