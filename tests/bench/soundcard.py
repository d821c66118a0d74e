"""Whether the lab as a sound card keeps up: eight drivers, two ears, a room of 0.3 s, block 256 at 48 kHz, one core.

Run it: ``python tests/bench/soundcard.py [--full]``. The first part feeds blocks of noise to the sound card without a
server and counts processor time; the second runs it on a JACK server in real time and counts late blocks; the third
gives it too much to do, and looks for the message on it. Leaves with 1 if a figure is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import server as servers  # noqa: E402

from sweetspot.rigs.acoustics.walls import eyring  # noqa: E402
from sweetspot.rigs.lab import soundcard  # noqa: E402
from sweetspot.rigs.lab.world import World  # noqa: E402
from sweetspot.rigs.rig_file.description import parse  # noqa: E402
from sweetspot.rigs.units import speed_of_sound  # noqa: E402
from tests.patchbay import Unserved  # noqa: E402

FS, BLOCK = 48000, 256
SIZE, ABSORPTION = (5.2, 4.1, 2.5), 0.275
MOST_OF_A_CORE = 0.5
MOST_LATE = 0.01


def rig(port: Path, absorption: float = ABSORPTION) -> str:
    """Eight drivers on a line, a dummy head two metres ahead, a room."""
    head = (
        'schema = 1\nname = "bench-card"\nfs = 48000\n[interface]\ndriver = "portaudio"\ndevice = "bench-card"\n'
        'loopback = { out = 9, in = 3 }\n[stage]\ndriver = "grbl"\n'
        f'port = "{port}"\n'
    )
    places = [f"at = [0, {0.35 - 0.1 * n:.2f}, 0]" for n in range(8)]
    drivers = "".join(
        f'[[driver]]\nname = "d{n}"\nchannel = {n + 1}\n{at}\nunprotected = true\n' for n, at in enumerate(places)
    )
    ears = '[[mic]]\nname = "ear_left"\nchannel = 1\n[[mic]]\nname = "ear_right"\nchannel = 2\n'
    place = "[ears]\ndistance_m = 2.0\npositions = [ { x = 0.0, y = 0.0, yaw_deg = 0.0 } ]\n"
    lab = f'[lab.body]\nshape = "line"\n[lab.room]\nsize_m = {list(SIZE)}\ndevice_m = [1.0, 2.0, 1.0]\n'
    return f"{head}{drivers}{ears}{place}[lab]\n{lab}absorption = {absorption}\n"


def processor_time(place: Path, seconds: float) -> bool:
    """Processor time of the whole sound card, noise on every output."""
    soundcard._client = lambda *_: Unserved(BLOCK)
    soundcard.publish = lambda *_: None  # type: ignore[assignment]
    soundcard._address = lambda _: 0
    described = parse(rig(place / "port"), place)
    card = soundcard.SoundCard(World(described, "B"))
    rings = eyring(np.array(SIZE), np.full((6, 1), ABSORPTION), speed_of_sound(20.0))[0]
    rng = np.random.default_rng(1)
    blocks = rng.uniform(-0.3, 0.3, (64, 9, BLOCK)).astype(np.float32)
    took = []
    for n in range(int(seconds * FS / BLOCK)):
        for port_, y in zip(card._outputs_of_programs, blocks[n % 64], strict=True):
            port_.get_array()[:] = y
        began = time.process_time()
        card._process(BLOCK)
        took.append(1000.0 * (time.process_time() - began))
    share = float(np.mean(took)) / card.period_ms
    print(
        f"without a server: room of {rings:.2f} s (Eyring), {card._taps} taps, {len(took)} blocks of "
        f"{card.period_ms:.2f} ms: processor time {np.mean(took):.2f} ms a block on average, "
        f"{np.quantile(took, 0.99):.2f} ms at 99 %, {100 * share:.0f} % of one core "
        f"(limit {100 * MOST_OF_A_CORE:.0f} %)"
    )
    return share < MOST_OF_A_CORE


def real_time(place: Path, seconds: float) -> bool:
    """Late blocks on a server, the lab on one core."""
    (place / "rig.toml").write_text(rig(place / "port"))
    with servers.server(FS, BLOCK) as server, servers.lab(server, place / "rig.toml") as card:
        os.sched_setaffinity(card.process.pid, {min(os.sched_getaffinity(0))})
        time.sleep(seconds)
        message = card.end()
    ended = next(line for line in message.splitlines() if line.startswith("Lab ended after"))
    blocks, late = int(ended.split()[3]), int(ended.split(",")[1].split()[0])
    print(f"on a server: {ended}; {100 * late / blocks:.2f} % late (limit {100 * MOST_LATE:g} %)")
    return late <= MOST_LATE * blocks


def too_much(place: Path) -> bool:
    """A period of 32 samples and a room that rings: too much, and reported."""
    (place / "rig.toml").write_text(rig(place / "port", absorption=0.06))
    with servers.server(FS, 32) as server, servers.lab(server, place / "rig.toml") as card:
        time.sleep(5.0)
        message = card.end()
    done = next((line for line in message.splitlines() if "does not keep up" in line), "no message")
    print(f"too much to do: {done}")
    return "does not keep up" in done


def main() -> int:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="a minute in real time instead of eight seconds")
    seconds = 60.0 if parser.parse_args().full else 8.0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        good = [processor_time(place, min(seconds, 20.0)), real_time(place, seconds), too_much(place)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
