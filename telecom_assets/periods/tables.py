"""Contract of the table that says which billing periods are open, approved or closed."""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD

BILLING_PERIODS = TableContract(
    name="billing_periods",
    grain="One row per change of a billing period's state. Never edited: the state is that of the period's last row.",
    key=("change_no",),
    columns=(
        C("change_no", "int", "Number of the change, from 1, over all periods."),
        BILLING_PERIOD,
        C("state", "string", "drafted, approved, withdrawn, closing or closed."),
        C("changed_at", "timestamp", "When, UTC."),
        C("changed_by", "string", "Name that was given with it; NULL where no person decided.", required=False),
        C("system_user", "string", "User of the operating system that the change was made as."),
        C("why", "string", "Reason that was given with it.", required=False),
        C("way", "string", "How it was closed: bills, empty or as_it_stands; NULL before closing.", required=False),
        C("issue_date", "date", "Date of its documents, fixed by closing.", required=False),
        C(
            "digest",
            "string",
            "Digest of the period's rows by table (JSON), which the change is about.",
            required=False,
        ),
        C("closed_with", "string", "Terms and policies that the period was closed with (JSON).", required=False),
    ),
)
