"""Which worker runs which tests (`pytest -n`). Not a conftest, so that tests can look at it.

Belongs here: how tests are kept together, and what becomes of a group whose worker has died.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: Folders whose tests look at the same servers and months.
TOGETHER = ("graph", "cluster")


class ByServers(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """A file stays with one worker, and so do all files of a folder of TOGETHER.

    A test during which its worker died has failed. It is not run again, as pytest-xdist (3.8) would until a dozen workers
    have died of it; the rest of its group is run by another worker. What the dead one had finished is not given to anybody:
    who gets nothing but finished tests reports none, and is never asked again.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((folder for folder in TOGETHER if f"/{folder}/" in f"/{file}"), file)

    def remove_node(self, node: Any) -> str | None:
        workload = self.assigned_work.get(node, {})
        running: str | None = next(
            (test for unit in workload.values() for test, done in unit.items() if not done), None
        )
        if running is None:
            given: str | None = super().remove_node(node)
            return given
        workload[self._split_scope(running)][running] = True
        left = {scope: unit for scope, unit in workload.items() if not all(unit.values())}
        del self.assigned_work[node]
        self.workqueue.update(left)
        for other in self.nodes:
            self._reschedule(other)
        return running

    def _reschedule(self, node: Any) -> None:
        # A worker that still collects its tests is asked again when it has them; pytest-xdist (3.8) fails on it
        # when two workers died and one of their successors is ready before the other.
        if node in self.registered_collections:
            super()._reschedule(node)

    def _assign_work_unit(self, node: Any) -> None:
        super()._assign_work_unit(node)
        if not self.workqueue:
            # It keeps its last test until it hears of another one, or that none will come.
            node.shutdown()
