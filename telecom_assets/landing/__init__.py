"""Landing: what is on the topic, in the table, exactly once. The table is the checkpoint."""

from telecom_assets.landing.land import Landed, land
from telecom_assets.landing.plan import LandingError, landing_chunks, next_offsets

__all__ = ["Landed", "LandingError", "land", "landing_chunks", "next_offsets"]
