"""Every check of the project: the guards of all rooms, in the order of the stages.

All but the advisory ones are blocking, so that a run stops at the first stage whose books do not balance.
Belongs here: the order. The checks of a table stand in its room (`checks.py`).
"""

import dagster as dg

from telecom_assets.billing import checks as of_billing
from telecom_assets.books.factory import Guard, step_of
from telecom_assets.closing import checks as of_closing
from telecom_assets.corrections import checks as of_corrections
from telecom_assets.intake import checks as of_intake
from telecom_assets.invoices import checks as of_invoices
from telecom_assets.mediation import checks as of_mediation
from telecom_assets.rating import checks as of_rating
from telecom_assets.reference import checks as of_reference
from telecom_assets.reports import checks as of_reports

_GUARDS = [
    of_intake.GUARD,
    of_reference.GUARD,
    of_mediation.GUARD,
    of_rating.GUARD,
    of_rating.PERIOD_GUARD,
    of_corrections.GUARD,
    of_billing.LINES_GUARD,
    of_billing.GUARD,
    of_billing.DOCUMENTS_GUARD,
    of_billing.PUBLISHED_GUARD,
    of_invoices.GUARD,
    of_reports.BILLS_CSV_GUARD,
    of_reports.GUARD,
    of_closing.GUARD,
    of_closing.DOCUMENTS_GUARD,
]


def guards(silent_hours: int | None = None) -> list[Guard]:
    """Every check of the project, in the order of the stages; the check of a silent topic only when `silent_hours` is set."""
    silent = [of_intake.silence_guard(silent_hours)] if silent_hours else []
    return [*silent, *_GUARDS]


def build_checks(silent_hours: int | None = None) -> list[dg.AssetChecksDefinition]:
    """Every check of the project as Dagster's definitions."""
    return [step_of(each) for each in guards(silent_hours)]
