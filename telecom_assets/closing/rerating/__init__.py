"""A part of a month rated and billed a second time, in SQL: the same script that the tests and the bench ask, on DuckDB.

Belongs here: the script (`rating.sql`, `billing.sql`; `corrections.sql`, which a review asks for besides), giving it the month's
cleaned rows and reference rows, and comparing what it makes with the lines, bills and documents that are stored. It shares no code
with rating and billing. Does not belong here: what follows from a difference (`telecom_assets.closing.review`).
"""
