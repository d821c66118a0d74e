"""Keys and meters of live playback on a terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sweetspot.processor.choices import GAIN_DB
from sweetspot.processor.live import memory
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import db

if TYPE_CHECKING:
    from sweetspot.processor.live.stream import LivePlayer, Meters

STEP, VOLUME_STEP_DB = 0.1, 1.0
WALK_M = 0.05
STEPS = {"i": (WALK_M, 0.0), "k": (-WALK_M, 0.0), "j": (0.0, -WALK_M), "l": (0.0, WALK_M), "h": (0.0, 0.0)}
"""Keys that move the listener: away from the device and towards it, to its right and left, to the default place."""
WIDTH, FLOOR_DB = 24, -60.0


def pair_of(text: str) -> tuple[int, int]:
    """Two channel numbers from 1, as in ``1,2``.

    Raises
    ------
    BadInput
        Not two different channels from 1.
    """
    try:
        left, right = (int(part) for part in text.split(","))
    except ValueError:
        left = right = 0
    if left < 1 or right < 1 or left == right:
        raise BadInput(f"--channels: {text!r} is not a pair of channels; write for example 1,2")
    return left, right


@contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """Yields a function that waits for a key up to a time and returns it, or nothing; without a terminal it only
    waits."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows has keys of its own
        yield _windows_key()
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield lambda wait: os.read(fd, 1).decode(errors="replace") if select.select([fd], [], [], wait)[0] else ""
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _windows_key() -> Callable[[float], str]:
    """Keys of a Windows console; only waits where there is none."""
    try:
        console: Any = import_module("msvcrt")
    except ImportError:
        return _no_key

    def key(wait: float) -> str:
        until = time.monotonic() + wait
        while not console.kbhit():
            if time.monotonic() >= until:
                return ""
            time.sleep(0.01)
        return str(console.getwch())

    return key


def _no_key(wait: float) -> str:
    time.sleep(wait)
    return ""


def press(live: LivePlayer, key: str) -> bool:
    """Execute a key; False if it ends playback."""
    if key in ("q", "\x03", "\x1b"):
        return False
    toggles = {"b": memory.BYPASS, "m": memory.MUTE, "a": memory.WHICH}
    if key in toggles:
        live.set(toggles[key], 1.0 - live.get(toggles[key]))
    if key in STEPS:
        live.step(*STEPS[key])
    if key in ("+", "=", "-"):
        amount = live.get(memory.AMOUNT) + (-STEP if key == "-" else STEP)
        live.set(memory.AMOUNT, round(min(max(amount, 0.0), 1.0), 3))
    if key in ("9", "0"):
        low, high = GAIN_DB
        volume = live.get(memory.VOLUME) + (VOLUME_STEP_DB if key == "0" else -VOLUME_STEP_DB)
        live.set(memory.VOLUME, min(max(volume, low), high))
    return True


def bar(peak: float, ceiling: float) -> str:
    """A meter of one driver: dBFS as a bar, the ceiling as its right end."""
    level, top = float(db(peak)), float(db(ceiling))
    filled = round(WIDTH * min(max((level - FLOOR_DB) / (top - FLOOR_DB), 0.0), 1.0))
    shown = f"{level:6.1f}" if peak > 0 else "  -inf"
    return "#" * filled + "." * (WIDTH - filled) + shown


def state(live: LivePlayer) -> str:
    """State of playback: filters A or B or bypass, in brackets; mute; volume; upmix."""
    which = "bypass" if live.get(memory.BYPASS) else "AB"[int(live.get(memory.WHICH))]
    muted = "[MUTED] " if live.get(memory.MUTE) else ""
    method = live.program.forms[0].upmix.method
    amount = "" if method == "off" else f" {live.get(memory.AMOUNT):.1f}"
    where = f", listener at {live.follower.pose.text}" if live.follower else ""
    return f"[{which}] {muted}volume {live.get(memory.VOLUME):+.0f} dB  upmix {method}{amount}{where}"


def keys_for(live: LivePlayer) -> str:
    """The keys that do something."""
    forms = live.program.forms
    keys = ["9 0 volume", "b bypass", "m mute"]
    keys += ["a A/B"] if forms[1] is not forms[0] else []
    keys += ["i k j l walk", "h home"] if live.follower else []
    keys += ["+ - upmix amount"] if forms[0].upmix.method != "off" else []
    return "  ".join([*keys, "q quit"])


def load(meters: Meters) -> str:
    """Processing time of the blocks, and their errors."""
    faults = [f"xruns: {meters.xruns}, own late blocks: {meters.late}" if meters.xruns or meters.late else "no xruns"]
    faults += [f"delayed by other programs: {meters.held}"] if meters.held else []
    faults += [f"{meters.starved} samples from the file were late"] if meters.starved else []
    return f"load {100 * meters.load:.1f} %, at most {100 * meters.worst:.1f} %; {', '.join(faults)}"


def screen(live: LivePlayer, meters: Meters, title: str) -> str:
    """All that is shown at one moment."""
    first = live.program.forms[0]
    wide = max(len(n) for n in ("ceiling", *first.drivers))
    lines = [f"{title}  {meters.seconds:.1f} s  {state(live)}"]
    lines += [f"  {n:<{wide}} {bar(p, first.ceiling)} dBFS" for n, p in zip(first.drivers, meters.peaks, strict=True)]
    limited = f"; limiter {float(-db(meters.least_gain)):.1f} dB" if meters.least_gain < 1.0 else ""
    lines.append(f"  {'ceiling':<{wide}} {' ' * WIDTH}{float(db(first.ceiling)):6.1f} dBFS{limited}")
    return "\n".join([*lines, f"  {load(meters)}", f"  {keys_for(live)}"])
