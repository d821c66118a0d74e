"""The lab as a sound card: its convolution against the naive sum, and what PortAudio records of it, every sample."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.sound.convolution import BlockConvolver
from sweetspot.rigs.lab.soundcard import Counts, NoiseLoop
from sweetspot.rigs.lab.stage_server import linked
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.units import db

SILENT = "mic_noise_db_spl = -300\nconverter_noise_dbfs = -300\nlatency_samples = 311\n"
Starts = Callable[..., AbstractContextManager[Any]]


def naive(paths: NDArray[np.float32], played: NDArray[np.float32], late: int) -> NDArray[np.float64]:
    """What the inputs hear, by the convolution sum in double precision."""
    samples = played.shape[1]
    heard = np.zeros((len(paths), samples + late))
    for i, row in enumerate(paths):
        for path, y in zip(row, played, strict=True):
            heard[i, late:] += np.convolve(path.astype(float), y.astype(float))[:samples]
    return heard[:, :samples]


def in_blocks(convolver: BlockConvolver, played: NDArray[np.float32]) -> NDArray[np.float64]:
    blocks = np.split(played, played.shape[1] // convolver.block, axis=1)
    return np.concatenate([convolver.process(b) for b in blocks], axis=1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def paths(rng: np.random.Generator) -> NDArray[np.float32]:
    """Three inputs, five outputs of which one reaches nothing, one bare wire, an odd number of taps."""
    paths = rng.standard_normal((3, 5, 173), dtype=np.float32)
    paths[:, 3] = 0.0
    paths[1] = 0.0
    paths[1, 4, 0] = 1.0
    return paths


@pytest.mark.parametrize(("block", "late"), [(16, 0), (64, 5), (256, 0), (32, 700)])
def test_blocks_equal_the_naive_sum(
    paths: NDArray[np.float32], rng: np.random.Generator, block: int, late: int
) -> None:
    played = rng.standard_normal((5, 20 * 256), dtype=np.float32)
    wanted = naive(paths, played, late)
    heard = in_blocks(BlockConvolver(np.pad(paths, ((0, 0), (0, 0), (late, 0))), block), played)
    assert np.abs(heard - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_responses_exchanged_are_as_if_they_had_always_been_there(
    paths: NDArray[np.float32], rng: np.random.Generator
) -> None:
    other = rng.standard_normal(paths.shape, dtype=np.float32)
    played = rng.standard_normal((5, 32 * 40), dtype=np.float32)
    convolver = BlockConvolver(paths, 32)
    before = in_blocks(convolver, played[:, :640])
    convolver.exchange(convolver.spectra(other))
    after = in_blocks(convolver, played[:, 640:])
    assert np.abs(before - naive(paths, played, 0)[:, :640]).max() < 1e-3
    assert np.abs(after - naive(other, played, 0)[:, 640:]).max() < 1e-3


def test_responses_of_another_shape_are_refused(paths: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"\(3, 5, 172\)"):
        BlockConvolver(paths, 32).spectra(paths[:, :, :-1])


def test_noise_goes_on_without_a_gap_and_never_ends(rng: np.random.Generator) -> None:
    drawn = rng.standard_normal((2, 1000), dtype=np.float32)
    loop = NoiseLoop(drawn, rng)
    first = np.concatenate([loop.next(64) for _ in range(15)], axis=1)
    assert np.array_equal(first, drawn[:, :960])
    for _ in range(200):
        piece = loop.next(64)
        start = int(np.flatnonzero(drawn[0] == piece[0, 0])[0])
        assert np.array_equal(piece, drawn[:, start : start + 64])


def test_a_link_lasts_as_long_as_the_lab(tmp_path: Path) -> None:
    port = tmp_path / "port"
    with linked(port, os.devnull) as reached:
        assert reached == str(port)
        assert os.path.realpath(port) == os.devnull
        with pytest.raises(BadInput, match="lab that is running"), linked(port, "/dev/zero"):
            pass
    assert not port.is_symlink()
    port.symlink_to(tmp_path / "gone")
    with linked(port, os.devnull):
        assert os.path.realpath(port) == os.devnull
    port.write_text("mine")
    with pytest.raises(BadInput, match="is a file"), linked(port, os.devnull):
        pass
    assert port.read_text() == "mine"
    with pytest.raises(BadInput, match="cannot be made"), linked(tmp_path / "no" / "port", os.devnull):
        pass
    with linked(None, "/dev/pts/7") as reached:
        assert reached == "/dev/pts/7"


def test_stated_counts() -> None:
    assert Counts(blocks=9, late=2, xruns=1, slowest_ms=7.5).text(5.0) == (
        "9 blocks of 5.00 ms, 2 late, slowest 7.50 ms, 1 xruns"
    )


# on a server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("card")


@pytest.fixture(scope="module")
def silent_rig(place: Path, crooked_card_text: Callable[[Path, str], str]) -> Description:
    """The crooked rig as a sound card, without noise."""
    text = crooked_card_text(place / "turntable", SILENT)
    (place / "silent.toml").write_text(text)
    return parse(text, folder=place)


@pytest.fixture(scope="module")
def running(jack_server: Starts, jack_lab: Starts, silent_rig: Description, place: Path) -> Iterator[tuple[Any, Any]]:
    """A server and the silent lab on it."""
    with jack_server(silent_rig.fs, 1024) as server, jack_lab(server, place / "silent.toml", "--unit", "T-7") as card:
        yield server, card


def reference(rig: Description, pose: Pose, played: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the inputs must hear, late by nothing but the paths."""
    paths = World(rig, "T-7").paths(pose).astype(float)
    return np.asarray(oaconvolve(paths, played[None].astype(float), axes=-1)[..., : played.shape[1]].sum(axis=1))


def error_db(heard: NDArray[np.float32], wanted: NDArray[np.float64], late: int) -> float:
    """Largest difference of any sample from the known convolution, dB re its largest sample, the worst channel."""
    wanted = np.pad(wanted, ((0, 0), (late, 0)))[:, : heard.shape[1]]
    return float(np.max(db(np.abs(heard - wanted).max(axis=1) / np.abs(wanted).max(axis=1))))


def signals(rig: Description, rng: np.random.Generator, seconds: float) -> NDArray[np.float32]:
    """Something else on every output, and a click on the loopback."""
    played = 0.2 * rng.uniform(-1, 1, (rig.outputs, int(seconds * rig.fs))).astype(np.float32)
    played[rig.interface.loopback.out - 1, 50] = 0.9
    return played


def click_at(rig: Description, heard: NDArray[np.float32]) -> int:
    return int(np.argmax(np.abs(heard[rig.interface.loopback.in_ - 1]))) - 50


@pytest.mark.server
def test_twenty_captures_without_a_glitch(
    running: tuple[Any, Any], in_server: Callable[[Any], None], silent_rig: Description, rng: np.random.Generator
) -> None:
    server, _ = running
    in_server(server)
    played = signals(silent_rig, rng, 3.0)
    wanted = reference(silent_rig, Pose(), played)
    with server.freewheel(), open_rig(silent_rig, serial="T-7") as rig:
        heard = [rig.interface.capture(played) for _ in range(20)]
    late = {click_at(silent_rig, r.x) for r in heard}
    assert len(late) == 1, f"the lag varies: {late}"
    assert late.pop() >= 311
    worst = max(error_db(r.x, wanted, click_at(silent_rig, r.x)) for r in heard)
    assert worst < -100.0


@pytest.mark.server
def test_in_real_time_and_after_every_move(
    running: tuple[Any, Any], in_server: Callable[[Any], None], silent_rig: Description, rng: np.random.Generator
) -> None:
    server, _ = running
    in_server(server)
    played = signals(silent_rig, rng, 0.7)
    poses = [Pose(turn=0.5), Pose(turn=0.5, x=0.03), Pose(y=-0.02, yaw=0.1), Pose()]
    errors = []
    with open_rig(silent_rig, serial="T-7") as rig:
        for pose in poses:
            stands = rig.stage.move(pose)
            heard = rig.interface.capture(played).x
            errors.append(error_db(heard, reference(silent_rig, stands, played), click_at(silent_rig, heard)))
    assert max(errors) < -100.0
    wrong = reference(silent_rig, Pose(turn=0.01), played)
    assert error_db(heard, wrong, click_at(silent_rig, heard)) > -60.0, "the check cannot see a wrong pose"


@pytest.mark.server
def test_noise_of_the_lab(
    jack_server: Starts,
    jack_lab: Starts,
    in_server: Callable[[Any], None],
    tmp_path: Path,
    crooked_card_text: Callable[[Path, str], str],
) -> None:
    text = crooked_card_text(tmp_path / "turntable", "mic_noise_db_spl = 40\n")
    (tmp_path / "noisy.toml").write_text(text)
    described = parse(text, folder=tmp_path)
    with jack_server(described.fs, 256) as server, jack_lab(server, tmp_path / "noisy.toml") as card:
        in_server(server)
        with server.freewheel(), open_rig(described, serial="T-7") as rig:
            first, second = (rig.interface.capture(np.zeros((6, 40000), dtype=np.float32)).x for _ in range(2))
        message = card.end()
    wanted = World(described, "T-7").noise(np.random.default_rng(3), 100000).std(axis=1)
    assert first[:, 1000:].std(axis=1) == pytest.approx(wanted, rel=0.05)
    assert np.abs(np.corrcoef(first[0, 1000:], second[0, 1000:])[0, 1]) < 0.05
    assert card.process.returncode == 0
    assert "Lab ended after" in message
    assert "late" in message
    assert not (tmp_path / "turntable").is_symlink()


@pytest.mark.server
def test_a_second_lab_is_refused(running: tuple[Any, Any], place: Path) -> None:
    server, _ = running
    done = start_lab(server.env, place / "silent.toml")
    assert done.returncode == 3
    assert "refuses a client named 'crooked-card'" in done.stderr
    (place / "other.toml").write_text((place / "silent.toml").read_text().replace("crooked-card", "other-card"))
    done = start_lab(server.env, place / "other.toml")
    assert done.returncode == 2
    assert "the turntable of a lab that is running" in done.stderr


@pytest.mark.server
def test_a_server_at_another_rate_is_refused(jack_server: Starts, place: Path, silent_rig: Description) -> None:
    with jack_server(48000) as server:
        done = start_lab(server.env, place / "silent.toml")
    assert done.returncode == 3
    assert "48000 Hz, the rig at fs = 47872 Hz: start it with -r 47872" in done.stderr


def test_no_server(place: Path, silent_rig: Description) -> None:
    done = start_lab(os.environ | {"JACK_DEFAULT_SERVER": "nobody-started-this"}, place / "silent.toml")
    assert done.returncode == 3
    assert done.stderr.startswith("sweetspot: no JACK server named 'nobody-started-this' answers. Start one")
    assert done.stderr.count("\n") == 1, "the library talks too"


@pytest.mark.server
def test_the_end_of_the_server_ends_the_lab(
    jack_server: Starts, jack_lab: Starts, tmp_path: Path, crooked_card_text: Callable[[Path, str], str]
) -> None:
    (tmp_path / "rig.toml").write_text(crooked_card_text(tmp_path / "turntable", ""))
    with jack_server(47872) as server, jack_lab(server, tmp_path / "rig.toml") as card:
        server.process.kill()
        message = card.process.communicate(timeout=20)[1]
    assert card.process.returncode == 3
    assert "the JACK server ended" in message
    assert not (tmp_path / "turntable").is_symlink()


@pytest.mark.server
def test_ctrl_c_ends_the_lab(
    jack_server: Starts, jack_lab: Starts, tmp_path: Path, crooked_card_text: Callable[[Path, str], str]
) -> None:
    (tmp_path / "rig.toml").write_text(crooked_card_text(tmp_path / "turntable", ""))
    with jack_server(47872) as server, jack_lab(server, tmp_path / "rig.toml") as card:
        card.process.send_signal(signal.SIGINT)
        message = card.process.communicate(timeout=20)[1]
    assert card.process.returncode == 130
    assert "Lab ended after" in message


def start_lab(environment: dict[str, str], rig: Path) -> subprocess.CompletedProcess[str]:
    """A lab that is expected not to start."""
    program = [sys.executable, "-m", "sweetspot", "rig", "lab", str(rig)]
    root = Path(__file__).resolve().parents[2]
    environment = environment | {"PYTHONPATH": str(root), "COLUMNS": "200"}
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)
