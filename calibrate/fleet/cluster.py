"""Distribution of a fleet's units on a Dask cluster: killed workers, poison units, a scheduler that restarts."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sweetspot.calibrate.fleet.jobs import Job, counted, dead
from sweetspot.calibrate.fleet.ledger import Outcome
from sweetspot.calibrate.fleet.scheduler import OPTIONS, Scheduler
from sweetspot.rigs.errors import BadInput, HardwareTrouble

CONNECT_S = 5.0
"""How long a scheduler may take to answer at first."""


POLL_S = 0.5
"""Polling interval of workers and scheduler, s."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long trouble of a cluster may last, s, before the work ends with hardware trouble.

    Parameters
    ----------
    away
        A scheduler that was there is gone: it may be restarting.
    idle
        No worker is left: others may come.
    """

    away: float = 60.0
    idle: float = 60.0


class _Lost(Exception):
    """The connection to the scheduler is lost, and with it running jobs."""


def on_cluster(
    jobs: Sequence[Job], scheduler: Scheduler, do: Callable[[Job], Outcome], patience: Patience = Patience()
) -> Iterator[Outcome]:
    """Outcomes as they arrive, from a Dask cluster.

    No more units are in flight than the workers have threads. When a worker dies, its units are done again; those
    whose workers died again and again are put aside and each done with nothing else in flight, so that only the one
    that kills its worker is called failed. When the scheduler is lost, what was in flight goes to the next one under
    the same address.

    Parameters
    ----------
    jobs
        Their folders must be there under the same path on every worker.
    scheduler
        Its address, for example ``tls://10.0.0.5:8786``, and the certificates.
    patience
        How long scheduler and workers may be away.

    Raises
    ------
    BadInput
        Dask is not installed, or a certificate cannot be used.
    HardwareTrouble
        No scheduler answers there, or no worker is left. Results so far are kept, and the same command continues from
        there.
    """
    try:
        import distributed
    except ImportError as fault:
        raise BadInput("--scheduler: needs Dask, which is not installed: pip install 'sweetspot[fleet]'") from fault
    hand, wait = _HandingOut(distributed, jobs, do), CONNECT_S
    while hand.left:
        client = _connected(distributed, scheduler, wait)
        try:
            yield from hand.through(client, patience.idle)
        except _Lost:
            wait = patience.away
        finally:
            with contextlib.suppress(Exception):  # the scheduler may have ended
                client.close(timeout=1)


class _HandingOut:
    """Waiting jobs, running jobs, and jobs that killed their workers."""

    def __init__(self, cluster: Any, jobs: Sequence[Job], do: Callable[[Job], Outcome]) -> None:
        self._cluster, self._do = cluster, do
        self._waiting, self._suspects = deque(jobs), deque[Job]()
        self._flying: dict[Any, Job] = {}
        self._count = 0

    @property
    def left(self) -> bool:
        """Whether any unit is unfinished."""
        return bool(self._waiting or self._suspects or self._flying)

    def through(self, client: Any, idle: float) -> Iterator[Outcome]:
        """Outcomes through one connection; running jobs wait again when it is lost."""
        last = time.monotonic()
        try:
            while self.left:
                threads = sum(client.nthreads().values())
                self._submit(client, threads)
                landed = self._landed(client)
                for future in landed:
                    if outcome := self._outcome(future):
                        yield outcome
                if threads or landed:
                    last = time.monotonic()
                elif time.monotonic() - last > idle:
                    raise HardwareTrouble(
                        f"--scheduler: no worker on the cluster for {idle:.0f} s; results so far are kept. "
                        "Start workers, then run the same command again"
                    )
        except (OSError, self._cluster.CancelledError) as fault:  # a connection that was closed is an OSError
            raise _Lost from fault
        finally:
            self._waiting.extendleft(self._flying.values())
            self._flying.clear()

    def _submit(self, client: Any, threads: int) -> None:
        """Submit waiting jobs, up to the number of threads; a suspect only when nothing else is left."""
        while self._waiting and len(self._flying) < threads:
            self._send(client, self._waiting.popleft())
        if self._suspects and not self._flying and threads:
            self._send(client, self._suspects[0])

    def _send(self, client: Any, job: Job) -> None:
        self._count += 1
        key = f"unit-{client.id}-{self._count}"  # another command's task of the same name would be taken for it
        self._flying[client.submit(self._do, job, pure=False, key=key)] = job

    def _landed(self, client: Any) -> list[Any]:
        """Futures that have an end, after at most :data:`POLL_S`."""
        if not self._flying:
            time.sleep(POLL_S)
            return []
        with contextlib.suppress(TimeoutError), client.as_current():  # or that of another command in this process
            self._cluster.wait(list(self._flying), timeout=POLL_S, return_when="FIRST_COMPLETED")
        return [future for future in self._flying if future.done()]

    def _outcome(self, future: Any) -> Outcome | None:
        """Outcome of a future; ``None`` when its unit has to be done again by itself."""
        if future.cancelled():
            raise _Lost
        job = self._flying.pop(future)
        alone = bool(self._suspects) and self._suspects[0] is job
        if alone:
            self._suspects.popleft()
        try:
            outcome = future.result()
            return counted(outcome, 2 if alone else 1)
        except self._cluster.KilledWorker:
            if alone:
                return dead(job, "its worker died repeatedly")
            self._suspects.append(job)
            return None
        except Exception as fault:  # what cannot be sent, or what the worker itself failed with
            return dead(job, f"{type(fault).__name__}: {fault}")
        finally:
            future.release()


def _connected(cluster: Any, scheduler: Scheduler, wait: float) -> Any:
    security = _security(cluster, scheduler) if scheduler.encrypted else None
    try:
        return cluster.Client(scheduler.address, timeout=wait, security=security, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as fault:
        raise HardwareTrouble(f"--scheduler: no Dask scheduler answers at {scheduler.address!r}: {fault}") from fault


def _security(cluster: Any, scheduler: Scheduler) -> Any:
    """Dask's own record of the certificates, checked: it only allows TLS."""
    files = scheduler.certificates
    options = {"tls_ca_file": files.ca, "tls_client_cert": files.cert, "tls_client_key": files.key}
    given = {name: str(path) for name, path in options.items() if path is not None}
    security = cluster.Security(require_encryption=True, **given)
    missing = [o for name, o in zip(options, OPTIONS.values(), strict=True) if not getattr(security, name)]
    if missing:
        raise BadInput(
            f"--scheduler {scheduler.address}: {', '.join(missing)} is needed too, or an entry for it in Dask's "
            "configuration (distributed.comm.tls)"
        )
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        shown = ", ".join(f"{o} {getattr(security, name)}" for name, o in zip(options, OPTIONS.values(), strict=True))
        raise BadInput(f"{shown}: cannot be used as certificates in PEM form: {fault}") from fault
    return security
