"""Jobs that credit and charge an amount, the same as `telecom credit` and `telecom charge`. Their configuration is the decision.

Belongs here: the jobs, and the configuration that a person fills in. Does not belong here: what may be added
(`telecom_assets.billing.manual`).
"""

from decimal import Decimal

import dagster as dg
from pydantic import Field

from resources.expected_errors import UsageError
from resources.warehouse import Warehouse
from telecom_assets.billing.manual import Wanted, note_line
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.calendar import check_month
from telecom_assets.model.text import figure


class Amount(dg.Config):
    """What is credited or charged, to whom, and why."""

    customer: str = Field(min_length=1, description="Customer, as on the bill.")
    month: str = Field(description="Closed month that it is about, yyyy-MM.")
    amount: str = Field(description="Amount before tax, above 0.")
    tax_pct: str = Field(description="Tax, percent.")
    by: str = Field(min_length=1, description="Who decides; kept with the line.")
    why: str = Field(min_length=1, description="Why; kept with the line.")
    holder: int | None = Field(default=None, description="Which holder of the number, where several had bills.")
    document: bool = Field(default=False, description="A document of its own, not a line on the next bill.")

    def wanted(self, settings: Settings, *, is_credit: bool) -> Wanted:
        """The same for `note_line`. Raises UsageError for what is no number, and for the month."""
        month = check_month(self.month, settings.partitions_start)
        figures = _figure(self.amount), _figure(self.tax_pct)
        return Wanted(
            self.customer.strip(),
            month,
            *figures,
            self.by,
            self.why,
            is_credit=is_credit,
            holder_no=self.holder,
            own_document=self.document,
        )


def _figure(text: str) -> Decimal:
    try:
        return figure(text)
    except ValueError as error:
        raise UsageError(f"{error}; nothing was changed") from None


def _noted(context: dg.OpExecutionContext, warehouse: Warehouse, wanted: Wanted) -> None:
    row = note_line(warehouse, wanted)
    context.log.info(f"{row['amount']} for {row['original_period']} on {row['document']} of {row['billing_period']}")
    key, period = dg.AssetKey("manual_lines"), row["billing_period"]
    metadata = {"amount": str(row["amount"]), "by": wanted.by, "why": wanted.why}
    context.log_event(dg.AssetMaterialization(key, partition=period, metadata=metadata))


@dg.op(name="credit_amount")
@with_expected_failures
def _credit(
    context: dg.OpExecutionContext,
    config: Amount,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    _noted(context, warehouse, config.wanted(settings, is_credit=True))


@dg.op(name="charge_amount")
@with_expected_failures
def _charge(
    context: dg.OpExecutionContext,
    config: Amount,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    _noted(context, warehouse, config.wanted(settings, is_credit=False))


@dg.job(description="Gives a customer an amount of a closed month back. The same as `telecom credit`.")
def credit_job() -> None:
    """One step."""
    _credit()


@dg.job(description="Charges a customer an amount for a closed month. The same as `telecom charge`.")
def charge_job() -> None:
    """One step."""
    _charge()


MANUAL_JOBS = [credit_job, charge_job]
