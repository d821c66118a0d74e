"""session.h5: raw captures first, flushed one by one, with responses beside them that can be recomputed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import POSITION, ImpulseResponse, SourceResponse, ring_rows
from sweetspot.measure.judge import Attempt, AttemptSummary, Closure, summaries
from sweetspot.measure.overlap import Overlap
from sweetspot.measure.plan import SETS, OverlapMode, Plan, SetName
from sweetspot.measure.session import disk, samples
from sweetspot.measure.session import schema as schema_
from sweetspot.measure.session.layout import KINDS, PACKED, SCHEMA, capture_chunks
from sweetspot.measure.shot import ALL, Capture, CaptureKey, Shot
from sweetspot.measure.splice import SpliceNote
from sweetspot.rigs.errors import BadInput, Unfinished, again
from sweetspot.rigs.names import check_serial
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.storage import Data, File, Group, as_stored
from sweetspot.rigs.units import Float

RELATIVE = "relative_error"
"""Data set of an estimated set: squared relative errors of the estimate."""

SPLICED = "spliced"
"""Attribute of a capture that was put together from others."""

MOST_PARTS = 200
"""Parts of a splice that are listed; the map of weights has all."""

FILES = "files"
"""Folder of a run with copies of the files that its rig file names: correction files and heads."""

KEPT_SETS = 4
"""Number of sets of responses cached in memory, for later steps of a command."""

_read: dict[tuple[Any, SetName], ImpulseResponse] = {}
"""Sets of large sealed sessions that this process read last."""

_heads: dict[Any, dict[str, schema_.SetHead]] = {}
"""The checked metadata of their sets, by the file's state."""


class Session:
    """An open session file; a context manager.

    Use :meth:`create`, :meth:`resume` or :meth:`read`.
    """

    def __init__(self, file: File) -> None:
        self.path, self._open, self._file = file.path, file, file.root
        self._clocks: dict[SetName, list[float]] = {}
        self._derived: dict[SetName, dict[str, Data]] = {}
        self._names: dict[SetName, dict[str, set[str]]] = {}

    @classmethod
    def create(
        cls, path: Path, rig: Description, serial: str, created_utc: str, *, schema: str = SCHEMA, **more: str
    ) -> Session:
        """A new session with ``more`` root attributes; the file must not exist."""
        from importlib.metadata import version  # slow to import

        file = File.create(path, KINDS[schema])
        file.root.attrs.update(
            unit_serial=check_serial(serial, "--unit"),
            rig_sha256=rig.sha256,
            rig_folder=str(rig.folder),
            created_utc=created_utc,
            sweetspot_version=version("sweetspot"),
            temperature_c=rig.environment.temperature_c,
            fs=rig.fs,
            **more,
        )
        file.root.flush()
        return cls(file)

    @classmethod
    def resume(cls, path: Path, schema: str = SCHEMA) -> Session:
        """An existing session, to be written on."""
        return cls._checked(File.resume(path, KINDS[schema]))

    @classmethod
    def read(cls, path: Path, schema: str = SCHEMA) -> Session:
        """An existing session, to be read only.

        Raises
        ------
        BadInput
            It is missing, damaged, changed since it was written, or holds what no session holds; names the data set.
        """
        return cls._checked(File.read(path, KINDS[schema]))

    @classmethod
    def _checked(cls, file: File) -> Session:
        try:
            if not file.known:
                heads = schema_.check_heads(file.root)
                if file.state:
                    _keep(_heads, file.state, heads)
            file.remember()
        except BaseException:
            file.close(quiet=True)
            raise
        return cls(file)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self._open.close(quiet=kind is not None)

    @property
    def serial(self) -> str:
        """Serial number of the unit."""
        return check_serial(self._file.attrs.text("unit_serial"), f"{self.path}: unit_serial")

    @property
    def _packed(self) -> dict[str, Any]:
        """How data sets of this kind of file are compressed."""
        return PACKED[self._open.kind.schema]

    @property
    def state(self) -> object | None:
        """Identifies this version of a large sealed file, to keep what was made of it; ``None`` for others."""
        return self._open.state

    @property
    def rig_sha256(self) -> str:
        """SHA-256 of the rig file that it was measured with."""
        return self._file.attrs.text("rig_sha256")

    @property
    def attributes(self) -> dict[str, Any]:
        """Root attributes."""
        return self._file.attrs.items()

    @property
    def sets(self) -> tuple[SetName, ...]:
        """The sets that were begun, the reference pair's apart."""
        return tuple(name for name in SETS if f"raw/{name}" in self._file)

    @property
    def has_captures(self) -> bool:
        """Whether any capture of any set is stored, accepted or not."""
        if "raw" not in self._file:
            return False
        return any(key != "played" for name in self._file.group("raw") for key in self._file.group(f"raw/{name}"))

    @property
    def has_templates(self) -> bool:
        """Whether templates of the head were begun."""
        return "raw/templates" in self._file

    @property
    def has_reference(self) -> bool:
        """Whether a reference pair was begun."""
        return "raw/reference" in self._file

    def has(self, name: SetName) -> bool:
        """Whether a set of any kind was begun."""
        return f"raw/{name}" in self._file

    def begin(self, plan: Plan, *, together: bool = False) -> None:
        """Make room for a set, unless it was begun before: its plan's tables, and responses that are not a number yet.

        Parameters
        ----------
        together
            All drivers of a position may play in one capture.

        Raises
        ------
        HardwareTrouble
            The disk has no room for the whole set.
        BadInput
            It was begun with responses of another length.
        """
        left = len(self.missing(plan))
        disk.need(self.path, left * plan.capture_bytes + disk.MARGIN_BYTES, f"the {left} captures of this set")
        if f"raw/{plan.name}" in self._file:
            if left:
                self._same_window(plan)
            return
        raw = self._file.create_group(f"raw/{plan.name}")
        raw.create_data("played", plan.played, **self._packed)
        raw.attrs.update(fs=plan.sweep.fs, band_hz=plan.sweep.band, swept_hz=plan.sweep.swept)
        raw.attrs.update(channels=[m.name for m in plan.mics] + ["loopback"])
        shape = (len(plan.positions), len(plan.mics), len(plan.sources.names), plan.before + plan.after)
        group = self._tables(plan.name, shape, plan.sources.axis, plan.sweep.fs, "Pa/FS", together=together)
        group.data("ir").attrs.update(zero=plan.before, band_hz=plan.sweep.band)
        group.create_data("positions", plan.positions)
        group.create_data("mics", [m.name for m in plan.mics])
        group.create_data(f"{plan.sources.axis}s", list(plan.sources.names))
        self._file.flush()

    def _same_window(self, plan: Plan) -> None:
        """Refuse to go on with a set whose responses were begun with another length."""
        head = schema_.head(self._begun(plan.name))
        taps = self._file.data(f"{plan.name}/ir").shape[-1]
        if (head.zero, taps - head.zero) == (plan.before, plan.after):
            return
        kept, wanted = (
            " and ".join(f"{1000.0 * n / plan.sweep.fs:.0f} ms" for n in (ahead, rest))
            for ahead, rest in ((head.zero, taps - head.zero), (plan.before, plan.after))
        )
        raise BadInput(
            f"{self.path}: the {plan.name} set was begun by an earlier version of sweetspot, which kept {kept} of each "
            f"response ahead of and after time zero; this one keeps {wanted}, so it cannot be finished. Measure the "
            f"unit anew with: sweetspot measure {plan.name} RIG --unit {self.serial}"
        )

    def _tables(
        self, name: SetName, shape: tuple[int, ...], axis: str, fs: int, unit: str, *, together: bool = False
    ) -> Group:
        """Data sets for a set's responses and metadata, filled with NaN.

        Drivers that play ``together`` have the same standard errors, which in one chunk shrink to those of one.
        """
        group = self._file.create_group(name)
        one = (1, shape[1], 1, shape[3])  # as it is written, so that nothing is compressed twice
        ir = group.create_empty("ir", shape, "f4", np.nan, chunks=one, **self._packed)
        ir.attrs.update(fs=fs, unit=unit, axes=f"position mic {axis} tap")
        group.create_empty("snr_db", shape[:3], "f4", np.nan)
        bins = (*shape[:3], shape[3] // 2 + 1)
        of_capture = (1, shape[1], shape[2] if together else 1, bins[3])
        for of_bin in ("stderr", "coherence"):
            data = group.create_empty(of_bin, bins, "f4", np.nan, chunks=of_capture, **self._packed)
            data.attrs.update(fs=fs, taps=shape[3], axes=f"position mic {axis} bin")
        group.data("stderr").attrs["unit"] = unit
        return group

    def put(
        self,
        name: SetName,
        ir: ImpulseResponse,
        stderr: Float,
        origin: str,
        closure: str = "",
        *,
        relative: Float | None = None,
    ) -> None:
        """Keep a set that was measured elsewhere, or estimated, whole: no captures, no repeats.

        Parameters
        ----------
        stderr
            Standard errors ``(position, mic, driver, bin)``.
        origin
            Where it comes from, in words.
        closure
            How the set closes on itself, as it was kept there; empty for not known.
        relative
            Of an estimated set: squared relative errors of the estimate ``(position, mic, driver, bin)``.

        Raises
        ------
        BadInput
            The session holds such a set already.
        """
        if name in self.sets:
            raise BadInput(f"{self.path}: holds {name} already; import into a new run")
        how = {"imported": origin} if relative is None else {"estimated": origin}
        self._file.create_group(f"raw/{name}").attrs.update(fs=ir.fs, band_hz=ir.band, **how)
        group = self._tables(name, ir.h.shape, "driver", ir.fs, ir.unit)
        group.data("ir").attrs.update(zero=ir.zero, band_hz=ir.band)
        values = {"ir": ir.h, "snr_db": ir.snr_db, "stderr": stderr, "coherence": np.ones_like(stderr)}
        for what, value in values.items():
            group.data(what)[:] = value
        group.create_data("positions", ir.positions)
        group.create_data("mics", list(ir.mics))
        group.create_data("drivers", list(ir.drivers))
        if closure:
            group.attrs["closure"] = closure
        if relative is not None:
            data = group.create_data(RELATIVE, relative.astype(np.float32), **self._packed)
            data.attrs.update(fs=ir.fs, taps=ir.h.shape[-1], axes="position mic driver bin")
        self._file.flush()

    def origin(self, name: SetName) -> str:
        """Where an imported or estimated set comes from; empty for one that was measured here."""
        if name not in self.sets:
            return ""
        attrs = self._file.group(f"raw/{name}").attrs
        return str(attrs.get("imported", "")) or str(attrs.get("estimated", ""))

    def is_estimated(self, name: SetName) -> bool:
        """Whether a set was estimated from a capture at fixed microphones and a model."""
        return name in self.sets and "estimated" in self._file.group(f"raw/{name}").attrs

    def estimate_error(self, name: SetName) -> Float | None:
        """Squared relative errors of an estimated set ``(position, mic, driver, bin)``; ``None`` for a measured one."""
        if not self.is_estimated(name):
            return None
        found = np.asarray(self._finished(self._begun(name).data(RELATIVE))[:], dtype=float)
        schema_.check_bins(self.path, f"/{name}/{RELATIVE}", found, self._file.data(f"{name}/ir").shape)
        return found[self._used(name)]

    def holds_raw(self, name: SetName) -> bool:
        """Whether the raw captures of a set are there, at least one that was accepted."""
        return any(d.shape[-1] and d.attrs.get("accepted", False) for _, d in self._captures(name))

    def rig(self) -> Description:
        """The rig that it was measured with, from the copies beside it; other paths start where its file was."""
        beside = self.path.with_name("rig.toml")
        try:
            text = beside.read_text(encoding="utf-8")
        except OSError as fault:
            raise BadInput(f"{beside}: the run's copy of the rig file cannot be read: {fault.strerror}") from fault
        where = Path(self._file.attrs.text("rig_folder"))
        rig = parse(text, folder=where, where=str(beside), kept=self.path.with_name(FILES))
        if rig.sha256 != self.rig_sha256:
            raise BadInput(f"{beside}: was changed after the measurement (its SHA-256 differs from the session's)")
        return rig

    def landed(self, name: SetName) -> frozenset[str]:
        """Keys of the captures that were accepted and stored whole, without the one that closes the set."""
        kept = (k for k, d in self._captures(name) if bool(d.attrs.get("accepted", False)))
        return frozenset(k for k in kept if CaptureKey.parse(k).purpose != "close")

    def _captures(self, name: SetName) -> Iterator[tuple[str, Data]]:
        """Raw captures of a set, by name."""
        if f"raw/{name}" in self._file:
            group = self._file.group(f"raw/{name}")
            yield from ((k, group.data(k)) for k in group if k != "played")

    def has_landed(self, name: SetName, key: str) -> bool:
        """Whether the capture of a key was accepted and stored whole."""
        raw = self._file.group(f"raw/{name}")
        return bool(key in raw and raw.data(key).attrs.get("accepted", False))

    def store(self, plan: Plan, shot: Shot, *, at_once: bool = True) -> int:
        """Store one capture, accepted or not: its samples are flushed before it counts as stored.

        Parameters
        ----------
        at_once
            Bring it to the disk now, 2 ms; else with whatever is flushed next: a kill then loses it.

        Returns
        -------
        Which capture of its place it is, from 1; a splice is none.

        Raises
        ------
        HardwareTrouble
            The disk is full; the session is as it was before this capture.
        """
        disk.need(self.path, plan.capture_bytes + disk.MARGIN_BYTES, "the next capture")
        disk.try_to_grow(self.path, self._open.handle, plan.capture_bytes + disk.MARGIN_BYTES)
        capture = shot.capture
        raw = self._file.group(f"raw/{plan.name}")
        there = self._names_of(plan.name).setdefault(capture.place, set())
        name = capture.key if shot.accepted else _rejected_name(there, capture)
        made = sum(SPLICED not in raw.data(k).attrs for k in there if k != name)
        x, attrs = samples.kept(shot.recording.x)
        data = raw.create_data(None, x, chunks=capture_chunks(x.shape), **self._packed)
        data.attrs.update(**asdict(capture.pose), **attrs)
        data.attrs.update(started_utc=shot.recording.started, xruns=shot.recording.xruns, delay_s=shot.delay)
        data.attrs.update(reason=str(shot.reason or ""), run=made + 1, snr_db=shot.snr_db, clock_ppm=shot.clock_ppm)
        if shot.temperature_c is not None:
            data.attrs["temperature_c"] = shot.temperature_c
        if shot.splice:
            data.attrs[SPLICED] = True
            self._keep_splice(f"spliced/{plan.name}/{name}", *shot.splice)
        data.attrs["accepted"] = shot.accepted
        raw.link(name, data)
        there.add(name)
        if at_once:
            self._file.flush()
        if shot.accepted and plan.name in self._clocks:
            self._clocks[plan.name].append(shot.clock_ppm)
        return made + 1

    def _keep_splice(self, where: str, note: SpliceNote, weights: NDArray[np.float32]) -> None:
        """Keep which part of a splice came from where, and its standard error."""
        if where in self._file:
            del self._file[where]
        group = self._file.create_group(where)
        group.attrs["parts"] = json.dumps([asdict(part) for part in note.parts[:MOST_PARTS]])
        group.create_data("runs", np.array(note.runs))
        group.create_data("f_hz", note.f)
        group.create_data("stderr", note.stderr.astype(np.float32))
        group.create_data("harmonics", note.harmonics.astype(np.float32))
        data = group.create_data("weights", weights, **self._packed)
        data.attrs.update(axes="capture mic column band", column_s=note.column_s)

    def splice(self, name: SetName, key: str) -> SpliceNote | None:
        """Origin of a spliced capture; ``None`` for one that was made as it is."""
        where = f"spliced/{name}/{key}"
        return schema_.splice(self._file.group(where)) if where in self._file else None

    def raw(self, name: SetName, key: str) -> tuple[Any, Mapping[str, Any]]:
        """Samples ``(channel, samples)`` and attributes of one stored capture."""
        data = self._file.data(f"raw/{name}/{key}")
        if not data.shape[-1]:
            raise BadInput(f"{self.path}: the raw captures of the {name} set were not kept (--raw)")
        return schema_.recorded(data), data.attrs.items()

    def rejected(self, name: SetName) -> list[tuple[str, str]]:
        """Keys and reasons of rejected captures."""
        if f"raw/{name}" not in self._file:
            return []
        each = self._file.group(f"raw/{name}").members_with("reason")
        return [(key, str(reason)) for key, reason in each if reason and key != "played"]

    def clocks(self, name: SetName) -> list[float]:
        """Clock offset of the inputs re the outputs in each accepted capture of a set, ppm."""
        if name not in self._clocks:
            kept = (d.attrs for _, d in self._captures(name))
            with as_stored(f"{self.path}: attributes of /raw/{name}", schema_.REMEDY.capitalize()):
                self._clocks[name] = [float(a.get("clock_ppm", 0.0)) for a in kept if a.get("accepted", False)]
        return list(self._clocks[name])

    def tries(self, name: SetName) -> list[Attempt]:
        """Every capture that was made of a set, but for the one that closes it."""
        kept = [(CaptureKey.parse(k), d.attrs) for k, d in self._captures(name) if "accepted" in d.attrs]
        return [
            Attempt(key.position, key.source, int(a.get("run", 1)), str(a["reason"]), self.splice(name, key.name))
            for key, a in kept
            if key.purpose != "close"
        ]

    def attempt_summaries(self, name: SetName) -> list[AttemptSummary]:
        """Used and rejected captures at every position of a set, with reasons."""
        if name not in self._file:
            return []
        sources = schema_.sources(self._file.group(name))
        return summaries(self.tries(name), {**dict(enumerate(sources)), ALL: "all drivers"})

    def keep_overlap(self, name: SetName, how: Overlap) -> None:
        """Keep how the drivers of a set overlap, with its raw captures."""
        self._file.group(f"raw/{name}").attrs["overlap"] = json.dumps(asdict(how))
        self._file.flush()

    def overlap(self, name: SetName) -> Overlap | None:
        """How the drivers of a set overlap, once it was settled."""
        text = self._file.group(f"raw/{name}").attrs.get("overlap") if name in self.sets else None
        return None if text is None else schema_.record(Overlap, text, f"{self.path}: overlap of /raw/{name}")

    def asked_to_overlap(self, name: SetName, mode: OverlapMode | None) -> OverlapMode:
        """The user's option for a set that was started: ``mode``, which is kept, or what was kept before."""
        attrs = self._file.group(f"raw/{name}").attrs
        if mode is not None:
            attrs["overlap_mode"] = mode
            self._file.flush()
        kept: OverlapMode = attrs.get("overlap_mode", "off")
        return kept

    def store_closure(self, name: SetName, closure: Closure) -> None:
        """Keep how well a set closes on itself, beside its responses."""
        self._file.group(name).attrs["closure"] = json.dumps(asdict(closure))
        self._file.flush()

    def closure(self, name: SetName) -> Closure | None:
        """How well a set closes on itself, once it was measured."""
        text = self.closure_text(name)
        return schema_.record(Closure, text, f"{self.path}: closure of /{name}") if text else None

    def closure_text(self, name: SetName) -> str:
        """The same as stored, JSON; empty if not measured."""
        return str(self._file.group(name).attrs.get("closure", "")) if name in self._file else ""

    def left(self, plan: Plan) -> int:
        """Number of missing captures, including the one for closure."""
        closing = plan.closing is not None and self.closure(plan.name) is None
        return len(self.missing(plan)) + int(closing)

    def response(self, plan: Plan, position: int, source: int) -> Float | None:
        """The response ``(mic, tap)`` of one place and source, if it is there."""
        h = np.asarray(self._file.data(f"{plan.name}/ir")[position, :, source], dtype=float)
        return h if np.isfinite(h).all() else None

    def missing(self, plan: Plan) -> list[Capture]:
        """The missing captures of a plan, in its order."""
        landed = self.landed(plan.name)
        return [c for c in plan.captures if c.key not in landed]

    def responses(self, name: SetName, *, whole: bool = False) -> ImpulseResponse:
        """The responses of a finished set; of a polar set with several elevations its ring, unless ``whole``.

        Raises
        ------
        BadInput
            The set was not measured, or not to its end.
        """
        key = (self._open.state, name)
        if self._open.state and key in _read:
            return _read[key] if whole or name != "polar" else _read[key].ring()
        group = self._begun(name)
        head = self._head(name)
        h = self._finished(group.data("ir"))[:]
        if not np.isfinite(h).all():
            gone = int(np.count_nonzero(~np.isfinite(h[:, 0, :, 0])))
            if not gone:
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(h))[0])
                raise BadInput(f"{self.path}: /{name}/ir holds {h[at]} at {at}, counted from 0; {schema_.REMEDY}")
            raise Unfinished(
                f"{self.path}: {gone} of {h.shape[0] * h.shape[2]} responses of the {name} set are missing; "
                f"finish it with: {again(self.path)}"
            )
        schema_.check_loudness(self.path, name, h)
        found = ImpulseResponse(
            h,
            fs=head.fs,
            positions=np.asarray(head.positions, dtype=POSITION),
            mics=head.mics,
            drivers=head.sources,
            zero=head.zero,
            unit=head.unit,
            snr_db=self._finished(group.data("snr_db"))[:],
            band=head.band,
        )
        if self._open.state:
            _keep(_read, key, found)
        return found if whole or name != "polar" else found.ring()

    def _head(self, name: SetName) -> schema_.SetHead:
        """Metadata of a set that was begun; of a large sealed file as they were when it was checked."""
        kept = _heads.get(self._open.state, {}).get(name) if self._open.state else None
        return kept or schema_.head(self._begun(name))

    def _begun(self, name: SetName) -> Group:
        """The group of a set.

        Raises
        ------
        BadInput
            It was not measured.
        """
        if name not in self._file:
            raise BadInput(f"{self.path}: no {name} set was measured; run: sweetspot measure {name} ...")
        return self._file.group(name)

    def _finished(self, data: Data) -> Data:
        """A derived data set as it is; one of a file whose writer was killed has no checksum yet.

        Raises
        ------
        BadInput
            The last program that wrote on it did not close it.
        """
        if self._open.seal.state == "open" and not self._open.is_writable and not data.is_stamped:
            made = self.sets and all(self.origin(name) for name in self.sets)
            anew = "capture or import the unit anew: this run cannot be resumed"
            raise Unfinished(
                f"{self.path}: the program that wrote {data.name} ended before it closed the file; "
                + (anew if made else f"finish it with: {again(self.path)}")
            )
        return data

    def underived(self, plan: Plan) -> list[Capture]:
        """Captures stored without their response, or not yet part of it, as after a kill.

        Only the last one that landed can be a repeat which the mean of its place does not hold yet.
        """
        empty = ~np.isfinite(self._file.data(f"{plan.name}/ir")[:, 0, :, 0])
        landed = self.landed(plan.name)
        there = [c for c in plan.captures if c.key in landed]
        return [c for c in there if np.any(empty[c.position, _rows(c)]) or (c is there[-1] and c.repeat)]

    def derive(self, plan: Plan, capture: Capture, heard: Sequence[SourceResponse]) -> None:
        """Store a capture's responses, one a source; flushed with the next capture, as they can be derived again."""
        rows = _rows(capture)
        if plan.name not in self._derived:  # kept open: finding them takes 1 ms
            group = self._file.group(plan.name)
            self._derived[plan.name] = {name: group.data(name) for name in ("stderr", "coherence", "snr_db", "ir")}
        for name, data in self._derived[plan.name].items():
            values = [one.h if name == "ir" else getattr(one, name) for one in heard]
            data[capture.position, :, rows] = np.stack(values, axis=1)

    def per_bin(self, name: SetName, what: Literal["stderr", "coherence"], *, whole: bool = False) -> Float:
        """Standard error (Pa/FS) or coherence, ``(position, mic, driver, bin)``, of the ``rfft`` of each response.

        Positions are those of :meth:`responses`.

        Raises
        ------
        BadInput
            The set was not measured.
        """
        found = np.asarray(self._finished(self._begun(name).data(what))[:], dtype=float)
        schema_.check_bins(self.path, f"/{name}/{what}", found, self._file.data(f"{name}/ir").shape)
        rows = self._used(name)
        found = found if whole or len(rows) == len(found) else found[rows]
        found.setflags(write=False)  # so that it need not be copied where it is kept
        return found

    def positions(self, name: SetName) -> NDArray[np.void]:
        """The positions that :meth:`responses` gives, without reading these."""
        return np.asarray(self._head(name).positions, dtype=POSITION)[self._used(name)]

    def _used(self, name: SetName) -> NDArray[np.intp]:
        """Rows of the positions that :meth:`responses` gives."""
        positions = np.asarray(self._head(name).positions, dtype=POSITION)
        return ring_rows(positions) if name == "polar" else np.arange(len(positions))

    def annotate(self, name: str, text: str) -> None:
        """Keep a text, such as a verdict as JSON, with the file; it replaces an earlier one of that name.

        It is flushed with the next capture, or when the session is closed: each flush waits for the disk twice.
        """
        if name in self._file:
            del self._file[name]
        self._file.create_data(name, text)

    def annotation(self, name: str) -> str | None:
        """A text kept by :meth:`annotate`."""
        return "".join(self._file.data(name).texts()) if name in self._file else None

    def _names_of(self, name: SetName) -> dict[str, set[str]]:
        """Names of a set's raw captures by :attr:`Capture.place`: the file has thousands, and is read for them once."""
        if name not in self._names:
            self._names[name] = {}
            for key in self._file.group(f"raw/{name}"):
                if key != "played":
                    self._names[name].setdefault(CaptureKey.parse(key).place, set()).add(key)
        return self._names[name]


def _rejected_name(there: Collection[str], capture: Capture) -> str:
    """The next name of a rejected capture, where those of its place are there."""
    taken = sum(1 for k in there if k.startswith(f"x{capture.key}"))
    return CaptureKey(capture.position, capture.source, capture.repeat, capture.purpose, rejected=taken + 1).name


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep a value in the place of the oldest of :data:`KEPT_SETS`."""
    while len(kept) >= KEPT_SETS:
        kept.pop(next(iter(kept)), None)  # sets are read in two threads
    kept[key] = value


def _rows(capture: Capture) -> slice:
    """Which sources a capture is of."""
    return slice(None) if capture.source is ALL else slice(capture.source, capture.source + 1)
