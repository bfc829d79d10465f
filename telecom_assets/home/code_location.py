"""The code location that the UI shows, and how a run of a command becomes one of its runs.

Belongs here: under which name the definitions are loaded (by `telecom dev`, by workspace.yaml), and that runs which a
command executes itself bear it. The UI's Overview, Jobs and job pages leave out a run that belongs to no code location.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

#: The module that is loaded. Dagster names the code location after it, and workspace.yaml gives it the same name.
DEFINITIONS_MODULE = "telecom_assets.definitions"


@contextmanager
def runs_belong_here(instance: dg.DagsterInstance, job: str) -> Iterator[None]:
    """Runs of a job that are made on the instance meanwhile belong to the code location.

    `execute_in_process` has no parameter for it: it makes its run with this method of the instance, which has one.
    """
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(DEFINITIONS_MODULE), SINGLETON_REPOSITORY_NAME)
    create = partial(instance.create_run_for_job, remote_job_origin=RemoteJobOrigin(repository, job))
    vars(instance)["create_run_for_job"] = create
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]
