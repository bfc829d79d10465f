"""How far apart two events with one record id are one record: what an approved period needs of it.

Belongs here: the refusal. Does not belong here: which copy is kept (`telecom_assets.mediation.copies`).
"""

from telecom_assets.periods.states import PeriodError, Periods

#: A month is compared record by record with what was settled of it, so an id is one record at least throughout a month.
_LEAST_DAYS = 30


def assert_reach(periods: Periods, dedupe_days: int, *, approving: str | None = None) -> None:
    """Raise PeriodError where an id could be two records of one frozen period, or of the one that is being approved.

    dedupe_days: TELECOM_DEDUPE_DAYS.
    """
    if dedupe_days < _LEAST_DAYS and (approving or periods.frozen):
        about = (
            f"{approving} is to be approved"
            if approving
            else f"{periods.frozen[0]} is {periods.state(periods.frozen[0])}"
        )
        raise PeriodError(
            f"TELECOM_DEDUPE_DAYS is {dedupe_days}; expected {_LEAST_DAYS} or more, since {about}: what "
            "comes later is compared with its bills record by record, so an id has to "
            "stay one record of a month"
        )
