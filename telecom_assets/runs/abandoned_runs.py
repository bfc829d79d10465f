"""Runs whose process was killed: they are reported as failed, so that other runs need not wait for them.

Belongs here: which process executes a run, and how a run is ended when that process has ended. Dagster's daemon watches the
processes that it starts, but not those of `telecom run`; when one of these is killed, its place in a pool stays taken.
"""

from collections.abc import Collection
from pathlib import Path

import dagster as dg

from resources.process_locks import SignOfLife, has_ended, remove_ended
from telecom_assets.model.run_tags import HIDDEN_TAG_PREFIX

#: Run tag: the name of the sign of life of the process that executes the run. Hidden in the UI: it has no meaning to people.
PROCESS_TAG = f"{HIDDEN_TAG_PREFIX}telecom_process"
_FOLDER = "processes"
#: States of a run that is at work or waits for its turn.
NOT_FINISHED_STATUSES = [
    status
    for status in dg.DagsterRunStatus
    if status not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]


def sign_of_life(dagster_home: Path) -> SignOfLife:
    """A sign of life for the runs that this process is about to execute: the value of their PROCESS_TAG is its name."""
    return SignOfLife(dagster_home / _FOLDER)


def end_abandoned_runs(instance: dg.DagsterInstance, dagster_home: Path) -> Collection[str]:
    """Report runs of killed processes as failed, and free the places in pools of ended runs. Returns the ids of the failed runs.

    A run without a sign of life on this machine is left alone: its process may run elsewhere.
    """
    folder, living, ended = dagster_home / _FOLDER, set(), []
    for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)):
        name = run.tags.get(PROCESS_TAG)
        if name is None:
            continue
        if has_ended(folder, name):
            instance.report_run_failed(run, "The process that executed this run was killed.")
            ended.append(run.run_id)
        else:
            living.add(name)
    log = instance.event_log_storage
    if log.supports_global_concurrency_limits and (holding := log.get_concurrency_run_ids()):
        known = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=list(holding)))}
        for run_id in holding:
            if run_id not in known or known[run_id].is_finished:
                log.free_concurrency_slots_for_run(run_id)
    remove_ended(folder, keep=living)
    return ended
