"""A worker's steps for one unit, and the loop that distributes units to local processes."""

from __future__ import annotations

import os
import platform
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Limits, limits_text
from sweetspot.calibrate.fleet import jobs
from sweetspot.calibrate.fleet.jobs import Job, counted, dead
from sweetspot.calibrate.fleet.ledger import Figure, Outcome
from sweetspot.calibrate.fleet.population import kind_of
from sweetspot.calibrate.plant import Fitted, metrics
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput, SweetspotError, Unfinished
from sweetspot.rigs.load import open_rig, utc_now
from sweetspot.rigs.names import utc_text
from sweetspot.rigs.parallel import keep_freed_memory
from sweetspot.rigs.protocol import unattended
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import hash_ahead
from sweetspot.rigs.storage import write as write_file

Work = Callable[[Job], Outcome]

ATTEMPTS = 3
"""How often a unit may lose its worker before it counts as failed."""


def work(job: Job) -> Outcome:
    """Fit one run, and verify it if requested; an error becomes the outcome's reason.

    A filter set from the same session with the same design is kept, so that a unit whose worker was killed after the
    fit is not fitted twice.
    """
    began = time.process_time()
    keep_freed_memory()
    run = Path(job.run)
    known: dict[str, Any] = {"unit": run.parent.name, "worker": f"{platform.node()}/{os.getpid()}", **job.identity}
    status, reason = "done", ""
    figures: tuple[Figure, ...] = ()
    try:
        hash_ahead(run / jobs.FILES["session"], content=True)  # both of its hashes in one reading
        known |= jobs.hashes(run, ("session", "rig"))
        known |= jobs.about(run)
        design_text = jobs.own_design(run) if job.design_text is None else job.design_text
        fitted = _fit(run, design_text, known["session_sha256"])
        if "verify" in job.steps:
            _verify(run, fitted, job.limits)
        known |= {"kind": kind_of(run, design_text)} | jobs.hashes(run, jobs.MADE)
        measured, reason = jobs.verified(run, known["session_sha256"], known["filterset_sha256"])
        figures = (*_predicted(fitted), *measured)
    except SweetspotError as trouble:
        status, reason = "interrupted" if isinstance(trouble, Unfinished) else "failed", str(trouble)
    except Exception as fault:  # whatever one unit's data does, the others go on
        where = traceback.extract_tb(fault.__traceback__)[-1]
        status, reason = "failed", f"{type(fault).__name__}: {fault} ({Path(where.filename).name}:{where.lineno})"
    if status != "done":
        known |= jobs.hashes(run, jobs.MADE)
    known["finished_utc"] = utc_text(utc_now())
    known["cpu_seconds"] = time.process_time() - began
    return Outcome(job.run, status, reason, known, figures)


def _fit(run: Path, design_text: str, session_sha256: str) -> Fitted:
    if jobs.is_fresh(run, session_sha256, design_text):
        return steps.fitted_of(run)
    return steps.calibrate(run, designs.parse(design_text, "the fleet's design"), design_text)


def _verify(run: Path, fitted: Fitted, limits: Limits) -> None:
    with Session.read(run / "session.h5") as session:
        description = session.rig()
    check_virtual(description)
    with open_rig(description, serial=fitted.filters.unit_serial) as rig:
        nobody = unattended("a manual stage needs a terminal, and a fleet is verified without one")
        silent = nullcontext(lambda note="": None)
        steps.measure_verification(run, rig, fitted, utc_now(), ask=nobody, track=lambda *_: silent)
    steps.judge(run, fitted, limits)


def check_virtual(rig: Description) -> None:
    """Refuse parallel verification on real hardware.

    Raises
    ------
    BadInput
        The rig is not the virtual lab in process.
    """
    if rig.interface.driver != "lab":
        raise BadInput(
            f"rig {rig.name!r} plays on real hardware, one unit at a time: run sweetspot verify RUN for each, "
            "then sweetspot fleet fit again without --verify"
        )


def _predicted(fitted: Fitted) -> tuple[Figure, ...]:
    p = fitted.prediction
    spread = metrics.scored(metrics.cancellation_db(metrics.unvirtualized(p.score, p.far_ear), p.f))
    return (
        Figure("fit", "cancellation, mean", spread.mean),
        Figure("fit", "cancellation, 10th percentile", spread.p10),
        Figure("fit", "headroom", fitted.filters.headroom_db),
    )


def on_processes(jobs_: Sequence[Job], workers: int, do: Work = work) -> Iterator[Outcome]:
    """Outcomes as they arrive, from a pool of processes on this computer; each worker has one BLAS thread.

    When a worker is killed, the pool is restarted, and each running unit is done again alone: only the one that kills
    its worker again and again is called failed.
    """
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    waiting, flying = deque(jobs_), dict[Future[Outcome], Job]()
    while waiting:
        with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
            try:
                while waiting or flying:
                    while waiting and len(flying) < 2 * workers:
                        with _interrupt_held():
                            flying[pool.submit(do, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        outcome = future.result()
                        del flying[future]
                        yield counted(outcome, 1)
            except BrokenProcessPool:
                pass
        for future, job in flying.items():
            landed = future.done() and future.exception() is None
            yield counted(future.result(), 1) if landed else _alone(job, do)
        flying.clear()


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Hold Ctrl-C back while a worker may start: it inherits that, and would print a traceback while it loads."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a worker: end without a word at Ctrl-C, and at once when the command that hands out the work is gone, however
    it ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if (parent := parent_process()) is not None:
        Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _alone(job: Job, do: Work) -> Outcome:
    """One unit again after its worker died, with no other job running."""
    for attempt in range(2, ATTEMPTS + 1):
        with ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent) as pool:
            try:
                with _interrupt_held():
                    begun = pool.submit(do, job)
                return counted(begun.result(), attempt)
            except BrokenProcessPool:
                continue
    return dead(job, f"its worker died {ATTEMPTS} times", attempts=ATTEMPTS)


def write_limits(path: Path, values: Mapping[str, float], heading: str) -> None:
    """Write a limits.toml.

    Raises
    ------
    BadInput
        It cannot be written.
    """
    write_file(path, limits_text(values, heading))
