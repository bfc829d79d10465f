"""Every table of the warehouse: the contracts of all rooms by name.

Belongs here: the list. The contract of a table is in the room that writes it (`tables.py`).
"""

from collections.abc import Iterable
from types import ModuleType

from resources.contract import TableContract
from telecom_assets.billing import tables as of_billing
from telecom_assets.books import tables as of_books
from telecom_assets.closing import tables as of_closing
from telecom_assets.corrections import tables as of_corrections
from telecom_assets.intake import tables as of_intake
from telecom_assets.mediation import tables as of_mediation
from telecom_assets.model.currencies import DEFAULT_CURRENCY, currency_scale
from telecom_assets.periods import tables as of_periods
from telecom_assets.rating import tables as of_rating
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.record_types.record_type import RecordType, RecordTypeError
from telecom_assets.reference import tables as of_reference
from telecom_assets.reports import tables as of_reports

#: From the first stage to the last.
_ROOMS: tuple[ModuleType, ...] = (
    of_intake,
    of_mediation,
    of_rating,
    of_reference,
    of_periods,
    of_corrections,
    of_billing,
    of_reports,
    of_closing,
    of_books,
)

#: Every table by name, with the columns of this project's own record types.
TABLES: dict[str, TableContract] = {
    table.name: table for room in _ROOMS for table in vars(room).values() if isinstance(table, TableContract)
}


def tables_of(record_types: Iterable[RecordType], currency: str = DEFAULT_CURRENCY) -> dict[str, TableContract]:
    """Every table by name, with the columns of these record types and the decimals of the currency.

    Raises RecordTypeError where a table cannot have them, ValueError for a currency without decimals of its own.
    """
    types = RecordTypes(record_types)
    if unknown := [each.name for each in types if each.on_bill and each.name not in of_billing.SERVICES]:
        raise RecordTypeError(
            f"record type {unknown[0]!r} is to have columns of its own on the bill, which has those of "
            f"{', '.join(of_billing.SERVICES)}; expected on_bill=False: its amounts count in other_total"
        )
    try:
        own = (of_intake.raw_cdrs(types), of_mediation.cleaned_cdrs(types))
    except ValueError as error:
        raise RecordTypeError(f"record types {', '.join(types.names)}: {error}") from error
    scale = currency_scale(currency)
    of_money = (
        of_billing.bill_lines(scale),
        of_billing.facturation_complete(scale),
        of_billing.correction_documents(scale),
        of_billing.manual_lines(scale),
        of_reports.revenue_by_plan(scale),
        of_reports.plan_by_region(scale),
        of_reports.top10_consumers(scale),
        of_closing.documents(scale),
    )
    return {**TABLES, **{table.name: table for table in (*own, *of_money)}}
