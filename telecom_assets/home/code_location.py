"""The code location that the UI shows, and how a run of a command becomes one of its runs.

Belongs here: under which name the definitions are loaded (by `telecom dev`, by workspace.yaml), and that runs which a
command executes itself bear it. The UI's Overview, Jobs and job pages leave out a run that belongs to no code location.
"""

from contextlib import AbstractContextManager

import dagster as dg

from telecom_assets.home.dagster_storage import runs_belong_to

#: The module that is loaded. Dagster names the code location after it, and workspace.yaml gives it the same name.
DEFINITIONS_MODULE = "telecom_assets.definitions"


def runs_belong_here(instance: dg.DagsterInstance, job: str) -> AbstractContextManager[None]:
    """Runs of a job that are made on the instance meanwhile belong to the code location."""
    return runs_belong_to(instance, DEFINITIONS_MODULE, job)
