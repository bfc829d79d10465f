"""Every table of the warehouse: the contracts of all rooms by name.

Belongs here: the list. What a table holds is said in the room that writes it (`tables.py`).
"""

from types import ModuleType

from resources.contract import TableContract
from telecom_assets.billing import tables as of_billing
from telecom_assets.intake import tables as of_intake
from telecom_assets.mediation import tables as of_mediation
from telecom_assets.rating import tables as of_rating
from telecom_assets.reference import tables as of_reference
from telecom_assets.reports import tables as of_reports

#: From the first stage to the last.
_ROOMS: tuple[ModuleType, ...] = (of_intake, of_mediation, of_rating, of_reference, of_billing, of_reports)

#: Every table by name.
TABLES: dict[str, TableContract] = {
    table.name: table for room in _ROOMS for table in vars(room).values() if isinstance(table, TableContract)
}
