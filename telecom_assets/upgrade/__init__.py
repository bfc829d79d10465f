"""A warehouse of an earlier version becomes one of this version: `telecom warehouse upgrade`.

Belongs here: what differs (`shapes`), the rows of a table in its new shape (`rewrite`), what landing and mediation must know
of the past (`raw_rows`, `ledgers`), the order of the commits (`plan`, `operation`). Does not belong here: PostgreSQL
(`resources.postgres`), Dagster.
"""

from telecom_assets.upgrade.operation import Done, upgrade
from telecom_assets.upgrade.plan import Plan, plan_upgrade
from telecom_assets.upgrade.shapes import PUBLISHED_BEFORE

__all__ = ["PUBLISHED_BEFORE", "Done", "Plan", "plan_upgrade", "upgrade"]
