"""Every table of the warehouse: the contracts of all rooms by name.

Belongs here: the list. The contract of a table is in the room that writes it (`tables.py`).
"""

from collections.abc import Iterable
from types import ModuleType

from resources.contract import TableContract
from telecom_assets.billing import tables as of_billing
from telecom_assets.intake import tables as of_intake
from telecom_assets.mediation import tables as of_mediation
from telecom_assets.rating import tables as of_rating
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.record_types.record_type import RecordType, RecordTypeError
from telecom_assets.reference import tables as of_reference
from telecom_assets.reports import tables as of_reports

#: From the first stage to the last.
_ROOMS: tuple[ModuleType, ...] = (of_intake, of_mediation, of_rating, of_reference, of_billing, of_reports)

#: Every table by name, with the columns of this project's own record types.
TABLES: dict[str, TableContract] = {
    table.name: table for room in _ROOMS for table in vars(room).values() if isinstance(table, TableContract)
}


def tables_of(record_types: Iterable[RecordType]) -> dict[str, TableContract]:
    """Every table by name, with the columns of these record types. Raises RecordTypeError where a table cannot have them."""
    types = RecordTypes(record_types)
    if unknown := [each.name for each in types if each.on_bill and each.name not in of_billing.SERVICES]:
        raise RecordTypeError(
            f"record type {unknown[0]!r} is to have columns of its own on the bill, which has those of "
            f"{', '.join(of_billing.SERVICES)}; expected on_bill=False: its amounts count in amount_before_tax"
        )
    try:
        own = (of_intake.raw_cdrs(types), of_mediation.cleaned_cdrs(types))
    except ValueError as error:
        raise RecordTypeError(f"record types {', '.join(types.names)}: {error}") from error
    return {**TABLES, **{table.name: table for table in own}}
