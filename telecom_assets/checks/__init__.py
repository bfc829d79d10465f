"""Asset checks: what is asserted of every table, made by one factory.

Belongs here: which check guards which asset. Does not belong here: how an identity is computed
(`telecom_assets.conservation`, `telecom_assets.checks.contracts`).
"""

from telecom_assets.checks.catalogue import build_checks

__all__ = ["build_checks"]
