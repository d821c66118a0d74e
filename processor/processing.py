"""What ``sweetspot process`` does: a stereo file through upmix, filters and guard, to one channel per driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweetspot.processor import bank as banks  # used by name: most files are for one place
from sweetspot.processor import files, store
from sweetspot.processor.engine import with_method
from sweetspot.processor.filterset import FilterSet, UpmixSettings, louder
from sweetspot.processor.render import Rendered, measured, ready, render_file
from sweetspot.processor.run_folder import bank_within_rig, noted_within_rig
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.progress import result, say, tracked
from sweetspot.rigs.storage import check_apart
from sweetspot.rigs.units import db, from_db

if TYPE_CHECKING:
    from sweetspot.processor.bank import WalkingEngine

__all__ = ["process", "ready"]


def process(
    filterset: Path,
    source: Path | None,
    out: Path | None,
    *,
    upmix: str | None,
    amount: float | None,
    gain: float,
    subtype: str,
    mono: bool,
    split: bool,
    ears: bool,
    path: Path | None,
    measure: Path | None,
    as_json: bool,
) -> None:
    """The command with its options, which are explained there.

    Raises
    ------
    BadInput
        Files or options that do not go together, or cannot be used.
    """
    if path and (ears or measure):
        raise BadInput("--path cannot be combined with --at-ears or --measure, which are for one place")
    if split and (ears or measure):
        raise BadInput("--split cannot be combined with --at-ears or --measure: it makes one file per driver")
    if ears and measure:
        raise BadInput("--at-ears cannot be combined with --measure, which takes no file: give one of them")
    filters, changes = noted_within_rig(filterset)
    filters = louder(filters, gain)
    settings = with_method(filters.upmix, upmix, amount)
    if measure is not None:
        check_apart(store.located(filterset), measure)
        store.write(measure, measured(filters, settings))
        done = {
            "out": str(measure),
            "programs": ["left alone", "right alone", "both"],
            "drivers": list(filters.drivers),
        }
        result(done, f"{measure}: responses of {len(filters.drivers)} drivers to left, right, both", as_json=as_json)
        return
    if source is None or out is None:
        raise BadInput(
            "IN.wav and OUT.wav are needed: sweetspot process FILTERSET IN.wav OUT.wav (or --measure OUT.h5)"
        )
    if ears:
        _at_ears(
            filterset,
            replace(filters, upmix=settings),
            source,
            out=out,
            subtype=subtype,
            mono=mono,
            as_json=as_json,
        )
        return
    engine = _walking(filterset, path, settings) if path else None
    if engine:
        louder(bank_within_rig(filterset).home, gain)  # refused where it would move a driver too far anywhere
        engine.fade(float(from_db(gain)), 0.0)
    _process(
        filters,
        {
            "gain_db": gain,
            "loudness_re_plain_db": store.loudness_re_plain(filterset),
            "held": filters.held_text,
            "changed_since": list(changes),
        },
        settings,
        engine=engine,
        source=source,
        out=out,
        subtype=subtype,
        mono=mono,
        split=split,
        as_json=as_json,
    )


def _walking(filterset: Path, path: Path, settings: UpmixSettings) -> WalkingEngine:
    bank = bank_within_rig(filterset)
    return banks.WalkingEngine(bank, banks.read_path(path, bank), settings=settings)


def _at_ears(
    path: Path, filters: FilterSet, source: Path, *, out: Path, subtype: str, mono: bool, as_json: bool
) -> None:
    from sweetspot.processor import listening  # the others do not wait for it

    head = listening.dummy_head(path)
    with files.SoundSource(source, mono=mono) as sound:
        pieces = 4 * -(-sound.samples // files.PIECE)
    with tracked("Listening", pieces) as step:
        done = listening.render_at_ears(
            filters, head, lambda: files.SoundSource(source, mono=mono), out, subtype=subtype, step=step
        )
    data = {"before": str(done.before), "after": str(done.after), "fs": done.fs, "gain_db": done.gain_db}
    result(data, f"{done.after}: with the filters\n{done.before}: without, at the same gain", as_json=as_json)


def _process(
    filters: FilterSet,
    known: dict[str, Any],
    settings: UpmixSettings,
    *,
    source: Path,
    out: Path,
    subtype: str,
    mono: bool,
    split: bool,
    as_json: bool,
    engine: WalkingEngine | None = None,
) -> None:
    filters = engine.filterset if engine else filters
    with files.SoundSource(source, mono=mono) as sound:
        note_source(sound, filters.fs)
        with tracked("Processing", -(-sound.samples // files.PIECE)) as step:
            done = render_file(
                filters, sound, out, settings=settings, subtype=subtype, split=split, step=step, engine=engine
            )
    data, lines = _data(filters, out, done) | known, _lines(filters, out, done) + _volume(known)
    if engine:
        data["changes_of_place"] = engine.changes
        lines += f"\n  followed the listener: {engine.changes} changes of place"
    result(data, lines, as_json=as_json)


def _volume(known: dict[str, Any]) -> str:
    """The requested gain, and the filters' loss of loudness, one line each."""
    gain, lost = known["gain_db"], known["loudness_re_plain_db"]
    lines = [f"gain {gain:+.1f} dB"] if gain else []
    each = ", ".join(f"{name} {value:+.1f} dB" for name, value in lost.items())
    lines += [f"loudness re plain stereo at the same ceiling, predicted without gain: {each}"] if lost else []
    lines += [f"the filters are {known['held']}"] if known["held"] else []
    return "".join(f"\n  {line}" for line in lines)


def note_source(sound: files.SoundSource, fs: int) -> None:
    """Notes on unexpected properties of the file."""
    if sound.fs != fs:
        say(f"{sound.path}: {sound.fs} Hz, resampled to the filters' {fs} Hz")
    if sound.cut:
        say(f"{sound.path}: is truncated: its header states {sound.cut}. The existing part is used")


def _data(filters: FilterSet, out: Path, done: Rendered) -> dict[str, Any]:
    return {
        "out": str(out),
        "fs": done.fs,
        "samples": done.samples,
        "drivers": list(filters.drivers),
        "peak_dbfs": [float(v) for v in db(done.peak)],
        "rms_dbfs": [float(v) for v in db(done.rms)],
        "ceiling_dbfs": float(db(done.ceiling)),
        "headroom_db": done.headroom_db,
        "limiter_db": done.limiter_db,
        "limited_samples": done.limited,
        "spl_limiter_db": done.spl_limiter_db,
        "spl_limited_samples": done.spl_limited,
        "spl_limit_held": not filters.unheld_text,
        "latency_samples": done.latency,
        "filter_delay_samples": filters.delay_samples,
        "resampled_from": done.resampled_from or None,
    }


def _lines(filters: FilterSet, out: Path, done: Rendered) -> str:
    levels = zip(filters.drivers, done.peak, done.rms, strict=True)
    rows = [f"  {name:<16} {_levels(peak, rms)}" for name, peak, rms in levels]
    room = f"headroom {done.headroom_db:.2f} dB below" if done.peak.any() else "only silence, below"
    worked = f"guard: {reduced(done.limiter_db, done.limited, done.samples)}"
    spl = [f"  SPL limiter: {reduced(done.spl_limiter_db, done.spl_limited, done.samples)}"] if done.spl_limited else []
    spl += [f"  {filters.unheld_text}"] if filters.unheld_text else []
    return "\n".join(
        [
            f"{out}: {many(len(filters.drivers), 'driver')}, {done.samples} samples at {done.fs} Hz",
            *rows,
            f"  {room} the ceiling of {float(db(done.ceiling)):.2f} dBFS; {worked}",
            *spl,
            f"  delay removed: {done.latency} samples of the engine; the filters' {filters.delay_samples} stay",
        ]
    )


def reduced(most_db: float, samples: int, of: int) -> str:
    """How much and how often a limiter reduced: the largest reduction in dB, and ``samples`` of all in percent."""
    share = min(100.0 * samples / max(of, 1), 100.0)  # they also work on what the delay leaves out
    return f"up to {most_db:.2f} dB, {share:.0f} % of the time" if samples else "idle"


def _levels(peak: float, rms: float) -> str:
    return f"peak {float(db(peak)):7.2f} dBFS   rms {float(db(rms)):7.2f} dBFS" if peak else "silent"
