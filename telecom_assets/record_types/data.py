"""Data sessions: charged by megabyte. A missing volume may be imputed. The record names its product."""

from telecom_assets.record_types.record_type import Hundredths, Quantity, RecordType, Units, WholeNumbers

#: The unit of the catalogue that the reports of traffic add up.
MEGABYTE = "MB"

VOLUME = Quantity(
    field="data_volume_mb",
    noun="volume",
    unit="megabytes",
    scale=6,
    doc="Volume of a data session, megabytes; NULL when unknown or not data.",
    imputed=True,
    generated=Hundredths(longest=2_000, skew=1.5, missing=0.10),
)
SESSION_DURATION = Quantity(
    field="session_duration_sec",
    noun="session_duration",
    unit="seconds",
    scale=3,
    doc="Duration of a data session, seconds; NULL when unknown.",
    judged=False,
    generated=WholeNumbers(mean=600, longest=7_200, negative=0.02, missing=0.05),
)
DATA = RecordType(
    name="data",
    events="data sessions",
    subscriber="user_id",
    quantities=(VOLUME, SESSION_DURATION),
    units=Units(MEGABYTE, VOLUME.field),
    product_field="product_code",
    on_bill=True,
    share=0.30,
    product_shares=(("DATA_PREMIUM", 0.20), ("DATA_BASIC", 0.80)),
)
