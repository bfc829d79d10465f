"""The code location that the UI shows, and how a run of a command becomes one of its runs.

Belongs here: the name under which the definitions are loaded (by `telecom dev`, by workspace.yaml), and how a run that a
command executes itself gets that name. The UI's Overview, Jobs and job pages leave out a run without a code location.
"""

from contextlib import AbstractContextManager

import dagster as dg

from telecom_assets.home.dagster_storage import runs_belong_to

#: The module that is loaded. Dagster names the code location after it, and workspace.yaml gives it the same name.
DEFINITIONS_MODULE = "telecom_assets.definitions"


def runs_belong_here(instance: dg.DagsterInstance, job: str) -> AbstractContextManager[None]:
    """While the block runs, new runs of a job on the instance belong to the code location."""
    return runs_belong_to(instance, DEFINITIONS_MODULE, job)
