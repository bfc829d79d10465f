"""The journals of a closed month as files: the same bytes for the same rows, whole or not at all.

Belongs here: which files a month has, and writing one. Does not belong here: what a journal holds.
"""

from pathlib import Path

import pyarrow as pa

from resources.warehouse import Warehouse
from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import close_journal
from telecom_assets.accounting.vat import vat_journal
from telecom_assets.home.output_files import accounting_file
from telecom_assets.home.settings import Settings
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reports.csv_files import write_csv_rows


def write_journal(rows: pa.Table, path: Path, *, bom: bool) -> int:
    """Write the rows of a journal in their order (`write_csv_rows`); returns their number."""
    return write_csv_rows(rows.schema, rows.to_batches(), path, bom=bom)


def write_journals(warehouse: Warehouse, settings: Settings, period: str, record_types: RecordTypes) -> dict[Path, int]:
    """Write the close journal of a closed period (yyyy-MM), and the VAT journal of the calendar month of its issue.

    One that was closed as it stood has no documents here, and so no VAT journal. Returns the rows of each file. All are made before the
    first is written. Raises what `close_journal` and `vat_journal` raise.
    """
    accounts = read_accounts(settings.accounts, record_types.names)
    closed = close_journal(warehouse, period, settings.currency, accounts, record_types)
    files = {accounting_file(settings, period, "close"): closed.table()}
    if closed.issue_date is not None:
        vat = vat_journal(warehouse, f"{closed.issue_date:%Y-%m}", settings.currency)
        files[accounting_file(settings, vat.month, "vat")] = vat.rows
    return {path: write_journal(rows, path, bom=settings.csv_bom) for path, rows in files.items()}
