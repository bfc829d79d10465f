"""The one folder for files that can be made or fetched again: `telecom_assets` in XDG_CACHE_HOME or ~/.cache."""

import os
from pathlib import Path


def user_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "telecom_assets"
