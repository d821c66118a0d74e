"""The public Python interface, for notebooks and test scripts: the steps of the command line as functions.

Every function states its return type. Paths may be strings. Nothing is printed or prompted; errors are
:class:`SweetspotError` with the text that the command line would show. The examples run in order, as a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.errors import BadInput, SweetspotError

if TYPE_CHECKING:
    from sweetspot.calibrate.design import Design
    from sweetspot.calibrate.plant import Fitted
    from sweetspot.calibrate.verify import Verification
    from sweetspot.measure.impulse import ImpulseResponse
    from sweetspot.measure.session import Session
    from sweetspot.processor.filterset import FilterSet
    from sweetspot.rigs.protocol import Rig
    from sweetspot.rigs.units import Float

__all__ = [
    "SweetspotError",
    "calibrate_run",
    "design",
    "export",
    "filters",
    "fit",
    "measure_unit",
    "metrics",
    "open_rig",
    "open_session",
    "process",
    "report",
    "responses",
    "verify",
]

Place = str | PathLike[str]
"""Path of a file or folder."""


@contextmanager
def open_rig(rig: Place, unit: str) -> Iterator[Rig]:
    """A rig, real or virtual, with its devices open for as long as the context lasts.

    Parameters
    ----------
    rig
        Path of a rig file, or the name of a ready-made rig: "desk", "round", "puck", "soundbar", ...
    unit
        Serial number of the unit on it.

    Yields
    ------
    Rig
        Its description, interface and stage; closed when the context ends.

    Raises
    ------
    SweetspotError
        No such rig, a faulty rig file, or a device that is missing or fails.

    Examples
    --------
    >>> with sweetspot.open_rig("puck", unit="SN-1") as rig:
    ...     rig.description.driver_names
    ('left', 'right')
    """
    from sweetspot.rigs import load
    from sweetspot.rigs.rig_file import read

    with load.open_rig(read(load.find(str(rig))), serial=unit) as opened:
        yield opened


def measure_unit(rig: Place, unit: str, *, runs: Place = "runs", sets: tuple[str, ...] = ("ears", "polar")) -> Path:
    """Measure a unit on a rig without manual moves; returns the run folder with ``session.h5``.

    Parameters
    ----------
    rig, unit
        As for :func:`open_rig`.
    runs
        Parent folder of the run folder.
    sets
        "ears" for driver-to-ear responses, "polar" for responses around the turntable.

    Returns
    -------
    Path
        ``runs/<unit>/<UTC>-<rig>``.

    Raises
    ------
    SweetspotError
        An unknown set, no such rig, a level above its limits, a device that fails, a capture that stays bad after every
        repeat, or a move that needs an operator. Captures so far are kept.

    See Also
    --------
    sweetspot.measure.deconvolve : Responses from sweeps; formula and sources.

    Examples
    --------
    >>> run = sweetspot.measure_unit("puck", "SN-1", runs=folder)
    >>> (run / "session.h5").is_file()
    True
    """
    from sweetspot.measure import folder, plan
    from sweetspot.measure.run import measure as capture
    from sweetspot.measure.session import Session
    from sweetspot.rigs import load

    unknown = [name for name in sets if name not in plan.SETS]
    if unknown or not sets:
        raise BadInput(f"sets holds {(*unknown, sets)[0]!r}; choose from {', '.join(map(repr, plan.SETS))}")
    with open_rig(rig, unit) as opened:
        here = folder.new(Path(runs), unit, opened.description, load.utc_now())
        with folder.removed_if_refused(here):
            for name in plan.SETS:
                if name in sets:
                    with Session.resume(folder.session_file(here)) as session:
                        wanted = plan.make(opened.description, name)
                        capture(opened, session, wanted, ask=_nobody, step=_silent)
    return here


def open_session(run: Place) -> Session:
    """The ``session.h5`` of a run folder, open for reading; a context manager.

    Parameters
    ----------
    run
        Run folder.

    Returns
    -------
    Session
        Captures, positions, responses and the rig of the run.

    Raises
    ------
    SweetspotError
        Not a run folder, or a damaged ``session.h5``.

    Examples
    --------
    >>> with sweetspot.open_session(run) as session:
    ...     session.serial, session.sets
    ('SN-1', ('ears', 'polar'))
    """
    from sweetspot.measure.folder import session_file
    from sweetspot.measure.session import Session

    return Session.read(session_file(Path(run)))


def responses(run: Place, name: str = "ears") -> ImpulseResponse:
    """Impulse responses of a run: ``h (position, mic, driver, tap)`` in Pa for a full-scale input, ``fs`` in Hz.

    Parameters
    ----------
    run
        Run folder.
    name
        "ears" or "polar".

    Returns
    -------
    ImpulseResponse
        ``h (position, mic, driver, tap)``, time zero at tap ``zero``; positions in m and rad.

    Raises
    ------
    SweetspotError
        Not a run folder, an unknown name, or a set that was not measured.

    Examples
    --------
    >>> ears = sweetspot.responses(run, "ears")
    >>> ears.h.ndim, ears.unit
    (4, 'Pa/FS')
    """
    if name not in ("ears", "polar"):
        raise BadInput(f"name is {name!r}; a session has 'ears' and 'polar'")
    with open_session(run) as session:
        return session.responses("ears" if name == "ears" else "polar", whole=True)


def design(path: Place | None = None) -> Design:
    """Goals and limits of the filters: a ``design.toml``, checked whole, or the default.

    Parameters
    ----------
    path
        A ``design.toml``; the default design if not given.

    Returns
    -------
    Design
        Frequencies in Hz, durations in s, levels in dB, as in the file; see ``sweetspot calibrate --keys``.

    Raises
    ------
    SweetspotError
        The file is missing or no valid TOML, or a key or value is wrong.

    Examples
    --------
    >>> sweetspot.design().filter.taps
    1024
    """
    from sweetspot.calibrate.design import read

    return read(None if path is None else Path(path))[0]


def fit(run: Place, wanted: Design | None = None) -> Fitted:
    """Filters of a unit from its session, with their prediction; nothing is written.

    Parameters
    ----------
    run
        Run folder.
    wanted
        From :func:`design`; the default design if not given.

    Returns
    -------
    Fitted
        ``filters.taps (program, driver, tap)`` at ``filters.fs`` Hz, full scale = 1, and the predicted responses.

    Raises
    ------
    SweetspotError
        Not a run folder, responses that do not suffice, or a design that this unit cannot meet.

    See Also
    --------
    sweetspot.calibrate.filters : The steps of the fit, with formulas and sources.

    Examples
    --------
    >>> fitted = sweetspot.fit(run)
    >>> fitted.filters.programs, fitted.filters.taps.shape
    (('left', 'right', 'centre'), (3, 2, 1024))
    """
    from sweetspot.calibrate import run as steps

    return steps.fitted(Path(run), wanted or design())


def calibrate_run(run: Place, path: Place | None = None) -> Fitted:
    """:func:`fit` with a ``design.toml``, and ``filterset.h5`` written into the run folder.

    Parameters
    ----------
    run
        Run folder.
    path
        A ``design.toml``; the default design if not given.

    Returns
    -------
    Fitted
        As from :func:`fit`.

    Raises
    ------
    SweetspotError
        As for :func:`fit` and :func:`design`, or the file cannot be written.

    Examples
    --------
    >>> float(sweetspot.calibrate_run(run).filters.fs)
    48000.0
    """
    from sweetspot.calibrate import run as steps
    from sweetspot.calibrate.design import read

    return steps.calibrate(Path(run), *read(None if path is None else Path(path)))


def filters(place: Place) -> FilterSet:
    """The filter set of a run folder or of a ``filterset.h5``: ``taps (program, driver, tap)``.

    It keeps to the limits of the rig file beside it, as they are now.

    Parameters
    ----------
    place
        Run folder or file.

    Returns
    -------
    FilterSet
        Taps with ``fs`` (Hz), ``programs``, ``drivers``, ``delay_samples``, ``ceiling`` and the settings of the upmix.

    Raises
    ------
    SweetspotError
        No such file, not a filter set, or one that plays below a band of the rig file.

    Examples
    --------
    >>> sweetspot.filters(run).drivers
    ('left', 'right')
    """
    from sweetspot.processor import run_folder, store

    path = Path(place)
    return run_folder.limited_by_rig(path, store.read(path))[0]


def process(filter_set: FilterSet, x: ArrayLike, fs: float) -> Float:
    """Driver signals ``(driver, sample)`` at ``filter_set.fs`` of a stereo signal ``(2, sample)``, full scale = 1.

    Upmix, SPL limiter, filter matrix and guard run as live; their delay is removed, the filters' own
    (``filter_set.delay_samples``) stays.

    Parameters
    ----------
    filter_set
        From :func:`filters`, or ``fit(run).filters``.
    x
        ``(2, sample)``, left and right, full scale = 1.
    fs
        Sampling rate of ``x``, Hz; resampled to ``filter_set.fs`` if it differs.

    Returns
    -------
    ndarray of float
        ``(driver, sample)``, as long in time as ``x``.

    Raises
    ------
    SweetspotError
        Another shape, values that are not finite, integers above full scale, a rate that is no positive whole number,
        or an output that the guard stops.

    See Also
    --------
    sweetspot.processor.upmix : Rules of the centre, with sources.

    Examples
    --------
    >>> y = sweetspot.process(sweetspot.filters(run), numpy.zeros((2, 4800)), 48000)
    >>> y.shape
    (2, 4800)
    """
    from sweetspot.processor.render import render

    if not (fs >= 1 and float(fs).is_integer()):
        raise BadInput(f"fs is {fs}; a whole number of Hz from 1 is needed")
    signal = np.asarray(x)
    if signal.dtype.kind in "iu" and (largest := np.abs(signal.astype(float)).max(initial=0.0)) > 1.0:
        raise BadInput(f"x holds {signal.dtype} up to {largest:.0f}; full scale is 1: scale it")
    return render(filter_set, signal, int(fs))


def verify(run: Place, limits: Place | None = None) -> Verification:
    """Play sweeps through the built-in engine on the run's rig, measure at held-out positions, and judge.

    Parameters
    ----------
    run
        Run folder with ``filterset.h5``.
    limits
        A ``limits.toml``; the default limits if not given.

    Returns
    -------
    Verification
        ``verdict`` "pass", "fail" or "grey" (inconclusive), metrics, predicted and measured responses; also in
        ``verify.h5``.

    Raises
    ------
    SweetspotError
        Not calibrated, faulty limits, or what :func:`measure_unit` raises while measuring.

    See Also
    --------
    sweetspot.calibrate.verify : Definitions of the metrics and their uncertainty.

    Examples
    --------
    >>> verification = sweetspot.verify(run)
    >>> verification.verdict
    'pass'
    """
    from sweetspot.calibrate import run as steps
    from sweetspot.calibrate.design import read_limits
    from sweetspot.rigs import load

    here = Path(run)
    fitted = steps.fitted_of(here)
    with open_session(here) as session:
        rig, unit = session.rig(), session.serial
    with load.open_rig(rig, serial=unit) as opened:
        steps.measure_verification(here, opened, fitted, load.utc_now(), ask=_nobody, track=_untracked)
    return steps.judge(here, fitted, read_limits(None if limits is None else Path(limits)))


def metrics(verification: Verification) -> dict[str, dict[str, Any]]:
    """Judged metrics by name: predicted, measured (``heard``), limit, margin and verdict, in the command line's units.

    Parameters
    ----------
    verification
        From :func:`verify`.

    Returns
    -------
    dict
        A row of plain values for each metric; its ``unit`` (dB, degrees, ms) is one of them.

    Examples
    --------
    >>> found = sweetspot.metrics(verification)
    >>> all({"heard", "limit", "margin", "verdict"} <= set(row) for row in found.values())
    True
    """
    from sweetspot.calibrate.run import summary

    return {str(row["name"]): row for row in summary(verification)["metrics"]}


def report(run: Place, music: Place | None = None) -> Path:
    """Write ``report.html`` into a run folder; ``music`` is a stereo file for a before/after comparison.

    Parameters
    ----------
    run
        Run folder with ``filterset.h5``.
    music
        Stereo file.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    SweetspotError
        Not a calibrated run folder, or a sound file that cannot be read.

    Examples
    --------
    >>> sweetspot.report(run).name
    'report.html'
    """
    from sweetspot.calibrate.report import write

    return write(Path(run), None if music is None else Path(music))


def export(filter_set: FilterSet | Place, engine: str, out: Place) -> tuple[Path, ...]:
    """Write the files for another engine: "camilladsp", "brutefir", "jconvolver", "wav", ...; returns their paths.

    Parameters
    ----------
    filter_set
        Run folder or ``filterset.h5``; or from :func:`filters`, and the bypass of engines that have one is silent:
        plain stereo and the bands of its drivers lie in the run folder.
    engine
        A name of ``sweetspot export --to``.
    out
        Folder for the files; made if missing.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    SweetspotError
        An unknown engine, filters that it cannot hold, or a folder that cannot be written.

    Examples
    --------
    >>> [path.suffix for path in sweetspot.export(sweetspot.filters(run), "wav", folder / "wav")][:1]
    ['.wav']
    >>> "unit.blob" in [path.name for path in sweetspot.export(run, "c", folder / "c")]
    True
    """
    from sweetspot.processor import run_folder, store
    from sweetspot.processor.export import HOLD_ALL, Options, bundle, without_guard
    from sweetspot.processor.files import write_all
    from sweetspot.processor.filterset import FilterSet

    options, more = Options(), []
    if not isinstance(filter_set, FilterSet):
        path, filter_set = Path(filter_set), filters(filter_set)
        options = Options(plain=store.plain_of(path, filter_set), limits=run_folder.driver_limits(path, filter_set))
    elif engine in HOLD_ALL:
        options = Options(plain=np.zeros((2, len(filter_set.drivers), 1)))
        more.append("Its bypass is silent: it was made from filters alone. Export the run folder for plain stereo.")
    made, _, note = without_guard(filter_set, engine, options)
    content = bundle(made, engine, options)
    content = replace(content, notes=(*content.notes, *more, *([note] if note else [])))
    write_all(Path(out), content.everything())
    return tuple(Path(out) / name for name in content.everything())


def _nobody(move: str) -> None:
    from sweetspot.rigs.errors import HardwareTrouble

    raise HardwareTrouble(f"{move}: a manual stage needs a terminal; use the command line")


def _silent(note: str = "") -> None:
    """A progress callback that does nothing."""


@contextmanager
def _untracked(title: str, total: int) -> Iterator[Any]:
    yield _silent
