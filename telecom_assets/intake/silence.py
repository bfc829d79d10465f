"""A silent topic: nothing has landed for longer than is usual, and nothing else is wrong.

Belongs here: the verdict, and the Dagster event that reports it while nothing lands, since a check that is made by landing runs
alone would never see silence. Does not belong here: when it is evaluated (the check of raw_cdrs, the Kafka sensor).
"""

import datetime as dt
from functools import partial

import dagster as dg

from resources.warehouse import Warehouse
from telecom_assets.books.factory import Check, CheckInputs
from telecom_assets.books.verdict import Verdict
from telecom_assets.intake.journal import last_landed
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.lineage.declaring import as_metadata
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.text import counted

NAME = "topic_is_not_silent"
KEY = dg.AssetCheckKey(dg.AssetKey(RAW_CDRS.name), NAME)
#: How often a verdict of silence is stored again while silence goes on; its text has the length.
_AGAIN = dt.timedelta(hours=1)


def silence(last: dt.datetime | None, hours: int, now: dt.datetime) -> Verdict:
    """Whether a message has landed within `hours`. Passes before the first landing, when no message is expected yet."""
    identity = f"a message has landed within {counted(hours, 'hour')}"
    if last is None:
        return Verdict(identity, [], {"last_landed_at": "never"})
    at = f"{last.astimezone(ZONE):%Y-%m-%d %H:%M}"
    silent = now - last > dt.timedelta(hours=hours)
    findings = (
        [f"the last one at {at}, {counted(int((now - last).total_seconds() // 3600), 'hour')} ago"] if silent else []
    )
    otherwise = f"no message has landed within {counted(hours, 'hour')}"
    return Verdict(identity, findings, {"last_landed_at": at}, otherwise=otherwise)


def silence_check(hours: int) -> Check:
    """The check of raw_cdrs; hours: TELECOM_SILENT_HOURS."""
    return Check(
        NAME,
        f"A message has landed within {counted(hours, 'hour')} (TELECOM_SILENT_HOURS). The Kafka sensor evaluates it at every look.",
        partial(_silence_verdict, hours),
        advisory=True,
    )


def _silence_verdict(hours: int, inputs: CheckInputs) -> Verdict:
    return silence(last_landed(inputs.warehouse), hours, inputs.clock())


def is_news(passed: bool, before: bool, age: dt.timedelta) -> bool:
    """Whether a verdict is stored: when it differs from the stored one, or silence was last stored an hour ago (`age`)."""
    return passed != before or (not passed and age >= _AGAIN)


def silence_event(
    instance: dg.DagsterInstance, warehouse: Warehouse, hours: int, now: dt.datetime
) -> dg.AssetCheckEvaluation | None:
    """The verdict as an event of the check; None when it is no news (`is_news`)."""
    verdict = silence(last_landed(warehouse), hours, now)
    latest = instance.get_latest_asset_check_evaluation_record(KEY)
    if latest is not None:
        passed = isinstance(latest.evaluation, dg.AssetCheckEvaluation) and latest.evaluation.passed
        age = now - dt.datetime.fromtimestamp(latest.create_timestamp, dt.UTC)
        if not is_news(verdict.passed, passed, age):
            return None
    return dg.AssetCheckEvaluation(
        asset_key=KEY.asset_key,
        check_name=NAME,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict.summary,
        metadata=as_metadata(verdict.figures),
    )
