"""Messages: each is one unit."""

from telecom_assets.record_types.record_type import RecordType, Units

SMS = RecordType(
    name="sms",
    events="messages",
    subscriber="sender_id",
    other_party="receiver_id",
    units=Units("event"),
    on_bill=True,
    share=0.10,
)
