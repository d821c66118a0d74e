"""What ``sweetspot play`` does: live sound through upmix, filters and guard, with meters and keys."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweetspot.processor import bank as banks
from sweetspot.processor import files, store
from sweetspot.processor import live as console
from sweetspot.processor.convolver import compilable
from sweetspot.processor.engine import Engine, matching, with_method
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.live import PlayedProgram, PoseStream, memory, playing
from sweetspot.processor.plain import bypass
from sweetspot.processor.processing import note_source, reduced
from sweetspot.processor.run_folder import bank_within_rig, driver_limits, noted_within_rig
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.live_stream import Wanted
from sweetspot.rigs.progress import result, say, stderr
from sweetspot.rigs.units import db

if TYPE_CHECKING:
    from sweetspot.processor.bank import Follower
    from sweetspot.processor.live import LivePlayer, Meters


def play(
    filterset: Path,
    source: Path | None,
    *,
    device: str | None,
    heard: str | None,
    channels: str,
    hostapi: str | None,
    other: Path | None,
    block: int,
    upmix: str | None,
    amount: float | None,
    listener: str | None,
    pose_port: int | None,
    gain: float,
    mono: bool,
    loop: bool,
    seconds: float | None,
    as_json: bool,
) -> None:
    """The command with its options, which are explained there.

    Raises
    ------
    BadInput
        Files, devices or options that do not go together, or cannot be used.
    """
    filters, _ = noted_within_rig(filterset)
    filters = replace(filters, upmix=with_method(filters.upmix, upmix, amount))
    follower = _follower(filterset, listener, filters.upmix) if listener or pose_port is not None else None
    if follower:
        filters = follower.bank.at(follower.place)
    second = matching(filters, noted_within_rig(other)[0]) if other else filters
    if (source is None) == (heard is None):
        raise BadInput("give either IN.wav, or --from with an input device or a program on the audio server")
    if not compilable(block, np.float32):
        near = 1 << (block.bit_length() - 1)
        raise BadInput(f"--block {block}: a power of two is needed, {near} or {2 * near}; the device's may differ")
    ins = console.pair_of(channels) if heard else None
    program = PlayedProgram(
        (filters, second, bypass(filters, store.plain_of(filterset, filters), driver_limits(filterset, filters))),
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
    for unheld in dict.fromkeys(filter(None, (filters.unheld_text, second.unheld_text))):
        say(f"Note: {unheld}")
    poses = PoseStream(follower, pose_port) if follower and pose_port is not None else None
    with ExitStack() as stack:
        file = stack.enter_context(files.SoundSource(source, mono=mono)) if source else None
        if file:
            note_source(file, filters.fs)
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
        "limiter_db": _db(ended.guard[0]),
        "limited_samples": ended.guard[1],
        "most_limited_driver": ended.over or None,
        "spl_limiter_db": _db(ended.spl[0]),
        "spl_limited_samples": ended.spl[1],
        "spl_limit_held": not filters.unheld_text,
        "device_latency_s": live.latency_s,
        "engine_latency_samples": Engine(filters, block, dtype=np.float32).latency,
        "filter_delay_samples": filters.delay_samples,
    }
    lines = f"{ended.seconds:.1f} s played; {console.load(ended)}\n{limiters(ended, filters)}"
    if poses:
        data["poses"], lines = poses.to_dict(), f"{lines}\n{poses.text}"
    result(data, lines, as_json=as_json)


def limiters(ended: Meters, filters: FilterSet) -> str:
    """What guard and SPL limiter reduced in all, in one line."""
    played = round(ended.seconds * filters.fs)
    guard, spl = (reduced(_db(gain), samples, played) for gain, samples in (ended.guard, ended.spl))
    most = f" (most over its ceiling: {ended.over})" if ended.over else ""
    return f"guard: {guard}{most}; SPL limiter: {'none' if filters.unheld_text else spl}"


def _db(gain: float) -> float:
    """Reduction of a gain, dB."""
    return max(float(-db(gain)), 0.0)


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
