"""``sweetspot process``: stereo files to one channel per driver; ``sweetspot play``: the same, live."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from sweetspot.processor import bank as banks  # used by name: `process` loads neither walking nor the console
from sweetspot.processor import files, listening, store
from sweetspot.processor import live as console
from sweetspot.processor.convolver import compilable
from sweetspot.processor.engine import Engine, matching, with_method
from sweetspot.processor.filterset import GAIN_DB, FilterSet, UpmixSettings, louder
from sweetspot.processor.plain import bypass
from sweetspot.processor.render import Rendered, measured, render_file
from sweetspot.processor.run_folder import driver_limits, limited_by_rig, within_rig
from sweetspot.processor.upmix import METHODS
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.progress import result, say, stderr, tracked
from sweetspot.rigs.runs import located
from sweetspot.rigs.storage import check_apart, hash_ahead
from sweetspot.rigs.units import db, from_db

if TYPE_CHECKING:
    from sweetspot.processor.bank import FilterBank, Follower, WalkingEngine
    from sweetspot.processor.live import LivePlayer, Meters, PoseStream

Method = StrEnum("Method", {m.upper(): m for m in METHODS})  # type: ignore[misc]
Subtype = StrEnum("Subtype", {s: s for s in files.SUBTYPES})  # type: ignore[misc]

FilterSetArg = Annotated[
    Path,
    typer.Argument(
        metavar="FILTERSET",
        help="A filterset.h5 or its run folder; or a unit's folder or serial number for its latest run.",
        callback=located,
    ),
]
GainOpt = Annotated[
    float,
    typer.Option("--gain", metavar="DB", min=GAIN_DB[0], max=GAIN_DB[1], help="Volume, dB, ahead of the guard."),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the roof."""
    app.command("process")(process)
    app.command("play")(play)


def process(
    filterset: FilterSetArg,
    source: Annotated[Path | None, typer.Argument(metavar="IN.wav", help="Stereo file, any format and rate.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT.wav", help="Output file, one channel per driver.")] = None,
    upmix: Annotated[Method | None, typer.Option("--upmix", help="Centre extraction, or off.")] = None,
    amount: Annotated[
        float | None, typer.Option("--amount", min=0.0, max=1.0, help="Centre extraction amount, 0 to 1.")
    ] = None,
    gain: GainOpt = 0.0,
    subtype: Annotated[Subtype, typer.Option("--subtype", help="Sample format of the output.")] = Subtype("PCM_24"),
    mono: Annotated[bool, typer.Option("--mono", help="Play a file with one channel to both sides.")] = False,
    split: Annotated[bool, typer.Option("--split", help="One file per driver: OUT_1_name.wav ...")] = False,
    ears: Annotated[
        bool, typer.Option("--at-ears", help="Signals at the dummy head's ears, for headphones; also OUT-before.wav.")
    ] = False,
    path: Annotated[
        Path | None,
        typer.Option("--path", help="Follow a listener through a bank: file of poses."),
    ] = None,
    measure: Annotated[
        Path | None, typer.Option("--measure", help="Write the processor's transfer functions to this filter set.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Process a stereo file: upmix, filter matrix, guard; one channel per driver."""
    if path and (ears or measure):
        raise BadInput("--path cannot be combined with --at-ears or --measure, which are for one place")
    filters, changes = noted_within_rig(filterset)
    filters = louder(filters, gain)
    settings = with_method(filters.upmix, upmix and upmix.value, amount)
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
            subtype=subtype.value,
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
        {"gain_db": gain, "loudness_re_plain_db": store.loudness_re_plain(filterset), "changed_since": list(changes)},
        settings,
        engine=engine,
        source=source,
        out=out,
        subtype=subtype.value,
        mono=mono,
        split=split,
        as_json=as_json,
    )


def bank_within_rig(filterset: Path) -> FilterBank:
    """The bank of a file under the rig's limits as they stand now."""
    bank = store.read_bank(filterset).bank
    return replace(bank, home=limited_by_rig(filterset, bank.home, bank.taps)[0])


def _walking(filterset: Path, path: Path, settings: UpmixSettings) -> WalkingEngine:
    bank = bank_within_rig(filterset)
    return banks.WalkingEngine(bank, banks.read_path(path, bank), settings=settings)


def noted_within_rig(filterset: Path) -> tuple[FilterSet, tuple[str, ...]]:
    """A filter set under the rig's current limits, with a note on changes since it was made."""
    hash_ahead(store.located(filterset).with_name("session.h5"))
    filters, changes = within_rig(filterset, store.read(filterset))
    for change in changes:
        say(f"Changed since: {change}")
    return filters, changes


def _at_ears(path: Path, filters: FilterSet, source: Path, out: Path, subtype: str, mono: bool, as_json: bool) -> None:
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
        _note_source(sound, filters.fs)
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
    return "".join(f"\n  {line}" for line in lines)


def _note_source(sound: files.SoundSource, fs: int) -> None:
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
        "latency_samples": done.latency,
        "filter_delay_samples": filters.delay_samples,
        "resampled_from": done.resampled_from or None,
    }


def _lines(filters: FilterSet, out: Path, done: Rendered) -> str:
    levels = zip(filters.drivers, done.peak, done.rms, strict=True)
    rows = [f"  {name:<16} {_levels(peak, rms)}" for name, peak, rms in levels]
    room = f"headroom {done.headroom_db:.2f} dB below" if done.peak.any() else "only silence, below"
    worked = f"limiter: up to {done.limiter_db:.2f} dB on {done.limited} samples" if done.limited else "limiter: idle"
    return "\n".join(
        [
            f"{out}: {len(filters.drivers)} drivers, {done.samples} samples at {done.fs} Hz",
            *rows,
            f"  {room} the ceiling of {float(db(done.ceiling)):.2f} dBFS; {worked}",
            f"  delay removed: {done.latency} samples of the engine; the filters' {filters.delay_samples} stay",
        ]
    )


def _levels(peak: float, rms: float) -> str:
    return f"peak {float(db(peak)):7.2f} dBFS   rms {float(db(rms)):7.2f} dBFS" if peak else "silent"


def play(
    filterset: FilterSetArg,
    source: Annotated[Path | None, typer.Argument(metavar="[IN.wav]", help="Stereo file; without it, --from.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="A unique part of the output's name.")] = None,
    heard: Annotated[
        str | None, typer.Option("--from", help="Input device, or on JACK the program, to play from.")
    ] = None,
    channels: Annotated[str, typer.Option("--channels", help="Input channels for left and right.")] = "1,2",
    hostapi: Annotated[str | None, typer.Option("--hostapi", help="Part of the host API's name.")] = None,
    other: Annotated[Path | None, typer.Option("--b", help="Second filter set for A/B, switched with key a.")] = None,
    block: Annotated[int, typer.Option("--block", help="Block size, samples.", min=16, max=4096)] = 256,
    upmix: Annotated[Method | None, typer.Option("--upmix", help="Centre extraction, or off.")] = None,
    amount: Annotated[
        float | None, typer.Option("--amount", min=0.0, max=1.0, help="Centre extraction amount, 0 to 1.")
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option("--listener", help="Follow a listener through a bank, starting at x,y[,yaw]: m, degrees."),
    ] = None,
    pose_port: Annotated[
        int | None,
        typer.Option("--pose-port", min=0, max=65535, help="UDP port on this computer for OSC: /listener x y yaw."),
    ] = None,
    gain: GainOpt = 0.0,
    mono: Annotated[bool, typer.Option("--mono", help="Play a file with one channel to both sides.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Loop playback.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after N seconds.", min=0.1)] = None,
    as_json: JsonOpt = False,
) -> None:
    """Play live through the filters: a file, an input, or another program; keys for volume, bypass, A/B, walk."""
    from sweetspot.processor.live import (  # live audio is what the other commands do not wait for
        PlayedProgram,
        PoseStream,
        memory,
        playing,
    )
    from sweetspot.rigs.live_stream import Wanted

    filters, _ = noted_within_rig(filterset)
    filters = replace(filters, upmix=with_method(filters.upmix, upmix and upmix.value, amount))
    follower = _follower(filterset, listener, filters.upmix) if listener or pose_port is not None else None
    if follower:
        filters = follower.bank.at(follower.place)
    second = matching(filters, noted_within_rig(other)[0]) if other else filters
    if (source is None) == (heard is None):
        raise BadInput("give either IN.wav, or --from with an input device or a program on the audio server")
    if not compilable(block, np.float32):
        near = 1 << (block.bit_length() - 1)
        raise BadInput(f"--block {block}: a power of two is needed, {near} or {2 * near}; the device's may differ")
    pair = listening.dummy_head(filterset).reference if "at_ears" in store.read_prediction(filterset) else (0, 1)
    ins = console.pair_of(channels) if heard else None
    program = PlayedProgram(
        (filters, second, bypass(filters, pair, driver_limits(filterset, filters))),
        Wanted(
            device,
            heard,
            hostapi=hostapi,
            outputs=max(filters.channels),
            inputs=max(ins) if ins else 0,
            fs=filters.fs,
            block=block,
        ),
        ins,
        follower.bank if follower else None,
        follower.place if follower else 0,
    )
    poses = PoseStream(follower, pose_port) if follower and pose_port is not None else None
    with ExitStack() as stack:
        file = stack.enter_context(files.SoundSource(source, mono=mono)) if source else None
        if file:
            _note_source(file, filters.fs)
        live = stack.enter_context(playing(program, file, loop=loop, gain_db=gain, waiting=say))
        live.follower = follower
        if poses:
            stack.enter_context(poses.to(lambda place: live.set(memory.PLACE, place)))
            say(f"Listening for poses at {poses.host}:{poses.port} (UDP, OSC: {banks.osc.ADDRESS} x y yaw)")
        ended = _shown(live, str(source or heard), seconds, poses)
    data: dict[str, Any] = {
        "seconds": ended.seconds,
        "block": block,
        "load_p999": ended.load,
        "load_worst": ended.worst,
        "xruns": ended.xruns,
        "late_blocks": ended.late,
        "held_up_blocks": ended.held,
        "starved_samples": ended.starved,
        "device_latency_s": live.latency_s,
        "engine_latency_samples": Engine(filters, block, dtype=np.float32).latency,
        "filter_delay_samples": filters.delay_samples,
    }
    lines = f"{ended.seconds:.1f} s played; {console.load(ended)}"
    if poses:
        data["poses"], lines = poses.to_dict(), f"{lines}\n{poses.text}"
    result(data, lines, as_json=as_json)


def _follower(filterset: Path, listener: str | None, settings: UpmixSettings) -> Follower:
    """A bank with its listener, from the place that was named or the default one."""
    bank = bank_within_rig(filterset)
    bank = replace(bank, home=replace(bank.home, upmix=settings))
    return banks.Follower(bank, bank.checked(banks.pose_of(listener), "--listener") if listener else None)


def _shown(live: LivePlayer, title: str, seconds: float | None, poses: PoseStream | None = None) -> Meters:
    """Feed the stream, show meters and execute keys until the end; returns the last meters."""
    from rich.live import Live as RichLive  # takes 16 ms to load, which files need not wait for
    from rich.text import Text

    began = time.monotonic()
    with console.keyboard() as keys, RichLive(console=stderr(), auto_refresh=False, transient=True) as shown:
        while True:
            live.feed()
            live.check()
            if poses:
                poses.check()
            key = keys(live.glance_s)
            meters = live.meters()
            if shown.console.is_terminal:
                lines = console.screen(live, meters, title) + (f"\n  {poses.text}" if poses else "")
                shown.update(Text(lines), refresh=True)
            late = seconds is not None and time.monotonic() - began > seconds
            if live.finished or late or (key and not console.press(live, key)):
                return meters
