"""Tariffs and catalogue from their files into their tables: judged together, before they are stored.

Belongs here: what a run reads and what an import stores. Does not belong here: what a file makes of the stored rows
(`tariff_history`), what is wrong with them (`judging`).
"""

import datetime as dt
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from resources.contract import TableContract
from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.model.stretches import Stretch
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import differing_days
from telecom_assets.reference.change_log import Origin, record_changes
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.judging import product_catalog_findings, rate_plan_findings
from telecom_assets.reference.past import NewVersion, assert_past_stays
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.reference.tariff_files import TariffFile, contract_of, read_tariff_file
from telecom_assets.reference.tariff_history import changes_without_a_day, needs_a_day, next_version

TARIFFS = (RATE_PLANS, PRODUCT_CATALOG)
_SHOWN = 5
#: From when a file without dates is judged that was given no day.
_SOME_DAY = dt.date(9999, 12, 31)


@dataclass(frozen=True)
class Reading:
    """A table as it is stored, and as it is to be stored next."""

    stored: PinnedTable
    rows: pa.Table

    @property
    def changes(self) -> list[Stretch]:
        """The days on which other rows are in force than before."""
        return differing_days(self.stored.arrow(), self.rows)


def read_tariffs(
    warehouse: Warehouse, paths: Mapping[str, Path | None], record_types: RecordTypes = RECORD_TYPES
) -> dict[str, Reading]:
    """What a run stores of the tariffs and of the catalogue, by table. paths: the file of each table; None: the packaged one.

    The packaged file is for the first time: where rows are stored and no file is named, they stay. Raises InputFileError for a file
    that cannot be read, is not valid, or changes what is stored without saying from which day on, and PastChanged for one that changes
    what was in force in a frozen period; nothing is stored then.
    """
    stored = {contract.name: warehouse.pin(contract.name) for contract in TARIFFS}
    files = [
        read_tariff_file(contract, paths[contract.name])
        for contract in TARIFFS
        if paths[contract.name] is not None or not sum(stored[contract.name].rows_by_partition().values())
    ]
    readings = _judged(stored, files, None, record_types)
    named = [str(file.path) for file in files]
    _assert_past_stays(readings, Origin(_listed(named)), shlex.join(["telecom", "tariff", "import", *named]))
    return readings


def import_tariffs(
    warehouse: Warehouse,
    files: Sequence[Path],
    valid_from: dt.date | None,
    in_use: Mapping[str, Path | None],
    record_types: RecordTypes = RECORD_TYPES,
    *,
    origin: Origin | None = None,
) -> dict[str, Reading]:
    """Store files of tariffs and catalogue: the tables that they are of, as they were and as they are stored now.

    valid_from: the first day of files without dates. in_use: the files that runs read, as in `read_tariffs`. origin: who imports them
    (default: the files alone). Raises InputFileError, and PastChanged where a frozen period would change; then nothing is stored.
    """
    origin = origin or Origin(_listed(files))
    contracts = [contract_of(path) for path in files]
    for contract in TARIFFS:
        if contracts.count(contract) > 1:
            raise InputFileError(
                f"{', '.join(map(str, files))}: {contract.name} comes twice; expected one file of each table"
            )
    read = [read_tariff_file(contract, path) for contract, path in zip(contracts, files, strict=True)]
    stored = {contract.name: warehouse.pin(contract.name) for contract in TARIFFS}
    readings = _judged(stored, read, valid_from, record_types)
    for file in read:
        _assert_not_undone(file, readings[file.contract.name].rows, in_use[file.contract.name])
    kept = {file.contract.name: readings[file.contract.name] for file in read}
    day = ["--valid-from", valid_from.isoformat()] if valid_from else []
    corrected = _assert_past_stays(kept, origin, shlex.join(["telecom", "tariff", "import", *map(str, files), *day]))
    for name, reading in kept.items():
        reads = {name: reading.stored.version}
        warehouse.overwrite_arrow(name, reading.rows, reads=reads, info=origin.said(corrected))
    record_changes(warehouse)
    return kept


def _assert_past_stays(readings: Mapping[str, Reading], origin: Origin, command: str) -> list[str]:
    return assert_past_stays((NewVersion(each.stored, each.rows) for each in readings.values()), origin, command)


def _listed(files: Iterable[object]) -> str:
    """Files as the source of a change."""
    return " and ".join(map(str, files))


def _judged(
    stored: Mapping[str, PinnedTable],
    files: Sequence[TariffFile],
    valid_from: dt.date | None,
    record_types: RecordTypes,
) -> dict[str, Reading]:
    """The next version of both tables. Raises InputFileError where they are not valid together, or a day is missing.

    What is not valid is said first: who is told to give a day can then give it.
    """
    before = {name: table.arrow() for name, table in stored.items()}
    changes = {file: changes_without_a_day(before[file.contract.name], file) for file in files}
    undecided = {file: told for file, told in changes.items() if told and valid_from is None}
    after = dict(before)
    for file in files:
        name, day = file.contract.name, _SOME_DAY if file in undecided else valid_from
        after[name] = next_version(before[name], file, day)
    _assert_valid(after, files, record_types)
    if undecided:
        raise needs_a_day(undecided)
    return {name: Reading(table, after[name]) for name, table in stored.items()}


def _assert_valid(rows: Mapping[str, pa.Table], files: Sequence[TariffFile], record_types: RecordTypes) -> None:
    plans, products = rows[RATE_PLANS.name], rows[PRODUCT_CATALOG.name]
    findings = [*product_catalog_findings(products, record_types), *rate_plan_findings(plans, products)]
    if findings:
        more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        source = _listed(file.path for file in files) or "the stored tariffs"
        remedy = "nothing was stored" if files else "import valid ones with telecom tariff import FILE"
        told = "; ".join(findings[:_SHOWN]).replace(f" from {_SOME_DAY}", "")
        raise InputFileError(f"{source}: {told}{more}; {remedy}")


def _assert_not_undone(file: TariffFile, rows: pa.Table, in_use: Path | None) -> None:
    """Raise InputFileError where the next run would replace the imported rows by those of a file with dates."""
    if in_use is None or in_use.resolve() == Path(str(file.path)).resolve():
        return
    other = read_tariff_file(file.contract, in_use)
    if other.is_dated and differing_days(rows, other.rows):
        raise InputFileError(
            f"{file.path}: runs read {in_use}, which has dates and is the whole history of {file.contract.name}; change that file, or "
            f"let TELECOM_{file.contract.name.upper()} name another one; nothing was stored"
        )


def is_read_by_runs(contract: TableContract, rows: pa.Table, in_use: Path | None) -> bool:
    """Whether runs go on with these rows: the file that they read is none, or says the same."""
    if in_use is None:
        return True
    try:
        next_version(rows, read_tariff_file(contract, in_use))
    except InputFileError:
        return False
    return True
