"""Calls: charged by started minutes."""

from telecom_assets.record_types.record_type import Quantity, RecordType, Units, WholeNumbers

DURATION = Quantity(
    field="duration_sec",
    noun="duration",
    unit="seconds",
    scale=3,
    doc="Duration of a call, seconds; NULL unless voice.",
    required=True,
    positive=True,
    generated=WholeNumbers(mean=180, longest=3_600, negative=0.10, missing=0.10),
)
VOICE = RecordType(
    name="voice",
    events="calls",
    subscriber="caller_id",
    other_party="callee_id",
    quantities=(DURATION,),
    units=Units("minute", DURATION.field, started=60),
    on_bill=True,
    share=0.60,
)
