"""A silent topic: nothing has landed for longer than is usual, and nothing else is wrong.

Belongs here: the verdict, and the event that tells of it while nothing lands: a check that only a landing run makes would
never see silence. Does not belong here: who evaluates it (the check of raw_cdrs, the Kafka sensor).
"""

import datetime as dt
from functools import partial

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from resources.delta import Warehouse
from telecom_assets.books.factory import Check, Scope
from telecom_assets.books.verdict import Verdict
from telecom_assets.intake.journal import last_landed
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.lineage.declaring import as_metadata
from telecom_assets.lineage.partitions import ZONE
from telecom_assets.model.text import counted

NAME = "topic_is_not_silent"
KEY = dg.AssetCheckKey(dg.AssetKey(RAW_CDRS.name), NAME)
#: How often silence that goes on is told anew: its length is in the text.
_AGAIN = dt.timedelta(hours=1)


def silence(last: dt.datetime | None, hours: int, now: dt.datetime) -> Verdict:
    """Whether a message landed within so many hours. Holds before the first landing: then nothing is expected yet."""
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
    """The check of raw_cdrs, for a setting of TELECOM_SILENT_HOURS."""
    return Check(
        NAME,
        f"A message has landed within {counted(hours, 'hour')} (TELECOM_SILENT_HOURS). The Kafka sensor evaluates it at every look.",
        partial(_decide, hours),
        advisory=True,
    )


def _decide(hours: int, scope: Scope) -> Verdict:
    return silence(last_landed(scope.warehouse), hours, scope.clock())


def is_news(passed: bool, before: bool, age: dt.timedelta) -> bool:
    """Whether a verdict is to be stored: another than the one before, or silence of which nothing was said for an hour."""
    return passed != before or (not passed and age >= _AGAIN)


def silence_event(
    instance: dg.DagsterInstance, warehouse: Warehouse, hours: int, now: dt.datetime
) -> dg.AssetCheckEvaluation | None:
    """The verdict as an event of the check, when it is another than the last one, or silence has gone on for an hour."""
    verdict = silence(last_landed(warehouse), hours, now)
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY]).get(KEY)
    if latest is not None:
        passed = latest.status is AssetCheckExecutionRecordStatus.SUCCEEDED
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
