"""The local stack as a whole: start, stop and ask its servers.

Belongs here: order, lock, health, clean-up and stack.json, the same for all servers. Does not belong here: running one server
(`postgres`, `kafka`, `spark`).
"""

import datetime as dt
import math
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resources.stack_state import StackState, StackStateError, read_stack_state
from telecom_assets.local_stack.errors import LocalStackError, UnknownService
from telecom_assets.local_stack.extra import assert_installed
from telecom_assets.local_stack.kafka import Kafka
from telecom_assets.local_stack.layout import Kept, Layout, write_private
from telecom_assets.local_stack.postgres import Postgres
from telecom_assets.local_stack.processes import Cancelled, ServerProcess, log_size
from telecom_assets.local_stack.service import NotReady, Report, Service
from telecom_assets.local_stack.spark import Spark, SparkShape

SERVICES = ("postgres", "kafka", "spark")
_POLL_SECONDS = 0.1
#: Seconds of grace for servers whose start failed or was interrupted: Kafka, stopped during its start, would wait for ever.
_FAILED_START_SECONDS = 3


@dataclass(frozen=True)
class ServiceStatus:
    """The state of one server.

    `up`: runs and answers. `down`: was not started, or was stopped. `crashed`: ended without being stopped. `silent`:
    runs but does not answer; `problem` says why.
    """

    name: str
    state: Literal["up", "down", "crashed", "silent"]
    address: str | None = None
    pid: int | None = None
    started_at: dt.datetime | None = None
    log: Path | None = None
    problem: str | None = None

    @property
    def up(self) -> bool:
        return self.state == "up"


class LocalStack:
    """The servers of one home folder.

    >>> stack = LocalStack(Path(".telecom"), ["postgres", "kafka"])    # doctest: +SKIP
    >>> started = stack.up(print)                                      # doctest: +SKIP
    >>> stack.down(print, services=started)                            # doctest: +SKIP
    """

    def __init__(
        self,
        home: Path,
        services: Collection[str] = SERVICES,
        kafka_topic: str = "cdr_topic",
        spark: SparkShape | None = None,
    ) -> None:
        unknown = sorted(set(services) - set(SERVICES))
        if unknown:
            raise UnknownService(f"unknown service {', '.join(unknown)}; expected some of {', '.join(SERVICES)}")
        self.layout = Layout(home.expanduser().absolute())
        self._kept = Kept(self.layout.kept_file)
        every: Sequence[Service] = (
            Postgres(self.layout, self._kept),
            Kafka(self.layout, self._kept, kafka_topic),
            Spark(self.layout, self._kept, spark or SparkShape()),
        )
        self._all = {service.name: service for service in every}
        self.services = [name for name in SERVICES if name in services]

    def up(self, report: Report = lambda _line: None) -> list[str]:
        """Start the servers that do not run, wait until all answer, and write stack.json.

        Returns the names of those that this call started. When one fails, or on Ctrl-C, the ones that this call started
        are stopped again. `report` receives a line per step. Raises LocalStackError.
        """
        self.assert_installed()
        self.layout.create()
        with self.layout.locked(report):
            self._kept.load()
            wanted = [self._all[name] for name in self.services]
            missing = [service for service in wanted if not _running(service)]
            for service in missing:
                service.prepare(report)
            try:
                self._bring_up(wanted, missing, report)
                self._write_state()
            except BaseException:
                if missing:
                    report("stopping what was started")
                    self._stop(missing, lambda _line: None, most=_FAILED_START_SECONDS)
                raise
            return [service.name for service in missing]

    def assert_installed(self) -> None:
        """Raise LocalStackError when the extra `local` is missing, and a server that it brings would have to be started."""
        was_used = (self.layout.home / "run").is_dir()
        assert_installed([self._all[name] for name in self.services if not (was_used and _running(self._all[name]))])

    def down(self, report: Report = lambda _line: None, services: Collection[str] | None = None) -> list[str]:
        """Stop the servers (all of this object's, or those named) and keep their data; returns those that ran.

        Only processes that were started from this home are ended. Raises LocalStackError.
        """
        if not (self.layout.home / "run").is_dir():
            return []
        with self.layout.locked(report):
            self._kept.load()
            chosen = [self._all[name] for name in self.services if services is None or name in services]
            return self._stop(chosen, report)

    def status(self) -> list[ServiceStatus]:
        """Ask every server. Takes no lock and changes nothing."""
        self._kept.load()
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            return list(pool.map(_status, [self._all[name] for name in self.services]))

    def _bring_up(self, wanted: Sequence[Service], missing: Sequence[Service], report: Report) -> None:
        """Start servers side by side and wait for all.

        Threads start the processes. Ctrl-C interrupts the main thread only, so never between the start of a process and the
        record of its pid.
        """
        cancel = threading.Event()
        with ThreadPoolExecutor(max(len(wanted), 1)) as pool:
            tasks = [pool.submit(_start, service, service in missing, cancel, report) for service in wanted]
            try:
                wait(tasks, return_when=FIRST_EXCEPTION)
            finally:
                if not all(task.done() and task.exception() is None for task in tasks):
                    cancel.set()
        failures = [error for task in tasks if (error := task.exception()) and not isinstance(error, Cancelled)]
        if failures:
            raise failures[0]

    def _stop(self, services: Sequence[Service], report: Report, most: float = math.inf) -> list[str]:
        """Stop servers side by side, with at most `most` seconds of grace for each signal.

        They are removed from stack.json first, so that no client uses a server that is being stopped.
        """
        running = [service for service in services if service.processes()]
        self._write_state(without={service.name for service in services})
        with ThreadPoolExecutor(max(len(running), 1)) as pool:
            for _ in pool.map(lambda service: _end(service, report, most), running):
                pass
        for service in services:
            for record in (service.record, *service.helper_records()):
                record.unlink(missing_ok=True)
        return [service.name for service in running]

    def _write_state(self, without: Collection[str] = ()) -> None:
        """Write the running servers to stack.json, unless it lists them already."""
        path = self.layout.state_file
        try:
            before: StackState | None = read_stack_state(path)
        except StackStateError:
            before = None
        up = {
            name: service.entry()
            for name, service in self._all.items()
            if name not in without and self._kept.knows(name) and _running(service)
        }
        after = StackState.model_validate({name: entry.model_dump() for name, entry in up.items()})
        if after != before or (up and path.stat().st_mode & 0o077):
            write_private(path, after.model_dump_json(indent=1, exclude_none=True))


def _running(service: Service) -> bool:
    process = ServerProcess.read(service.record)
    return process is not None and process.alive()


def _start(service: Service, launch: bool, cancel: threading.Event, report: Report) -> None:
    """Start one server, unless it runs already, and wait until it answers and is furnished."""
    begun = time.monotonic()
    mark = log_size(service.log)
    if launch:
        report(f"{service.title}: starting")
        _stop_processes(service, math.inf)  # helpers of a server that ended by itself
        process: ServerProcess | None = service.launch(cancel)
    else:
        process = ServerProcess.read(service.record)
    reason = "no answer"
    while True:
        if cancel.is_set():
            raise Cancelled
        try:
            service.ask()
            break
        except NotReady as error:
            reason = str(error)
        if process is None or not process.alive():
            raise LocalStackError(f"{service.title} ended while starting; see {service.log}", service.last_words(mark))
        if time.monotonic() - begun > service.ready_seconds:
            raise LocalStackError(
                f"{service.title} does not answer after {service.ready_seconds:.0f} s ({reason}); see {service.log}, "
                "or run `telecom down` and `telecom up` again",
                service.last_words(mark),
            )
        cancel.wait(_POLL_SECONDS)
    service.furnish()
    if launch:
        report(f"{service.title}: up at {service.address} after {time.monotonic() - begun:.1f} s")


def _end(service: Service, report: Report, most: float) -> None:
    _stop_processes(service, most)
    report(f"{service.title}: stopped")


def _stop_processes(service: Service, most: float) -> None:
    for process in service.processes():
        process.stop([(number, min(grace, most)) for number, grace in service.stop_signals])


def _status(service: Service) -> ServiceStatus:
    process = ServerProcess.read(service.record)
    if process is None:
        return ServiceStatus(service.name, "down")
    if not process.alive():
        ended = f"its process {process.pid} ended without being stopped; see {service.log}"
        return ServiceStatus(service.name, "crashed", log=service.log, problem=ended)
    problem: str | None = None
    try:
        service.ask()
    except (NotReady, LocalStackError) as error:
        problem = str(error)
    return ServiceStatus(
        service.name,
        "silent" if problem else "up",
        address=service.address,
        pid=process.pid,
        started_at=dt.datetime.fromtimestamp(process.started, dt.UTC),
        log=service.log,
        problem=problem,
    )
