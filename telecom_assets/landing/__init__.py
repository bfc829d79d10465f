"""Landing: what is on the topic, in the table, exactly once. The table is the checkpoint."""

from telecom_assets.landing.land import Landed, Terms, land, position
from telecom_assets.landing.plan import LandingError, landing_chunks

__all__ = ["Landed", "LandingError", "Terms", "land", "landing_chunks", "position"]
