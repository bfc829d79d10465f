"""Contract of the documents that are issued when a period is closed. Terms: EN 16931."""

from resources.contract import Column as C
from resources.contract import Counted, TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.model.currencies import DEFAULT_CURRENCY, currency_scale
from telecom_assets.model.numbers import bill_amount


def _of_all_rates(name: str) -> str:
    """The sum of an amount over the tax rates of a document."""
    rates, amount = f"from_json(tax_breakdown, 'array<struct<{name}:string>>')", "decimal(28,6)"
    return (
        f"aggregate({rates}, CAST(0 AS {amount}), (sum, rate) -> CAST(sum + CAST(rate.{name} AS {amount}) AS {amount}))"
    )


#: The money of a document as the bills name it, with where it stands. A document of nothing has no rate.
_AMOUNTS = (
    ("amount_before_tax", _of_all_rates("amount")),
    ("discount", _of_all_rates("discount")),
    ("tax", _of_all_rates("tax")),
    ("amount_due", "amount_due"),
)


def documents(scale: int) -> TableContract:
    """The documents of closed periods; `scale`: the decimals of the currency."""
    return TableContract(
        name="documents",
        grain="One row per document that was issued: an invoice, a credit note or a supplementary invoice.",
        key=("number",),
        partition_by="billing_period",
        money=("amount_due",),
        closes=True,
        counted=Counted("documents", reason="kind", amounts=_AMOUNTS),
        columns=(
            C(
                "number",
                "string",
                "Number of the document, such as INV-2026-000001: without a gap in its series (INV or CRN) and year.",
            ),
            C("kind", "string", "invoice, credit_note or supplementary."),
            C("customer_id", "string", "Customer whom it is for."),
            C("holder_no", "int", "Which holder of the number, counted from 1."),
            C("document", "string", "bill, or the name of a separate document, as in bill_lines."),
            C(
                "original_period",
                "string",
                "Closed period that a separate document is about; NULL for bills.",
                required=False,
            ),
            C("issue_date", "date", "Day of issue, local."),
            C("due_date", "date", "Day on which it is to be paid: payment_days after the day of issue."),
            C(
                "tax_breakdown",
                "string",
                "What it comes to at each tax rate, JSON: tax_category, tax_pct, amount, discount, tax, due; exact, as texts.",
            ),
            C("amount_due", bill_amount(scale), "Amount due, tax included."),
            C("currency", "string", "ISO 4217 code."),
            C("file", "string", "Name of its file among the invoices of the period: XML."),
            C("sha256", "string", "SHA-256 of the file."),
            C(
                "further_files",
                "string",
                "Its further files, UBL and PDF, JSON: the SHA-256 of each by its name; NULL where it has XML alone.",
                required=False,
                later=True,
            ),
            BILLING_PERIOD,
        ),
    )


DOCUMENTS = documents(currency_scale(DEFAULT_CURRENCY))
