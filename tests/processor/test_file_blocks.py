"""Files through the block path in two threads: the same samples as block after block, and nothing that stays behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from sweetspot.processor import files
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.block import CompiledBlock, Half
from sweetspot.processor.live.memory import AMOUNT, PlayerMemory, Shared
from sweetspot.processor.live.offline import BLOCK, MOST, FileBlocks, ahead
from sweetspot.processor.render import render_file
from sweetspot.rigs.storage import begin_to_disk, without_clock
from tests.filter_sets import FS, filter_set


def filters() -> FilterSet:
    """Noise that dies away, loud enough for the guard, and the usual upmix."""
    rng = np.random.default_rng(1)
    h = rng.standard_normal((3, 3, 700)) * np.exp(-np.arange(700) / 60.0)
    return filter_set(3.0 * (h - h.mean(axis=2, keepdims=True)) / np.abs(h).sum(axis=2).max(), "soft-projection")


def block_after_block(x: Any) -> Any:
    """All of ``x (n, 2)``, whole blocks, through the path that plays live."""
    form = replace(filters(), channels=(1, 2, 3))
    board = PlayerMemory(Shared.private(3))
    board.controls[AMOUNT] = form.upmix.amount
    path = CompiledBlock((form,), BLOCK, 3, (2, 1, 2), board, fade_s=0.0, settle_s=0.0, alone=True)
    y = np.zeros((len(x), 3), dtype=np.float32)
    for first in range(0, len(x), BLOCK):
        path.step(x[first : first + BLOCK], y[first : first + BLOCK], BLOCK, False)
    return y[path.latency :]


def test_two_threads_make_the_samples_of_one() -> None:
    x = np.random.default_rng(2).uniform(-0.9, 0.9, (40 * BLOCK, 2)).astype(np.float32)
    blocks = FileBlocks(filters())
    cuts = np.split(x, [1000, 1001, 30 * BLOCK + 5])
    y, expected = np.concatenate([y.copy() for y in blocks.process(cuts)]), block_after_block(x)
    assert blocks.limiter[0] < 1.0, "the guard has to work here"
    assert np.array_equal(y[: len(expected)], expected)
    assert len(y) == len(x) + filters().length - 1


def test_what_a_second_thread_makes_arrives_in_order_and_its_error_too() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i
        raise OSError("the disk is gone")

    got = ahead(items(), 2)
    for i in range(20):
        assert next(got) == i
        assert len(made) <= i + 1 + 4, "two wait, one is made, one is used"
    with pytest.raises(OSError, match="the disk is gone"):
        next(got)


def test_a_second_thread_ends_with_the_work() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    for item in ahead(endless(), 2):
        assert item == 1
        break
    assert not [t for t in threading.enumerate() if t.name == "ahead"]


def test_upmix_and_filters_run_in_threads_of_their_own_beside_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: dict[str, set[int]] = {}

    def run(half: Half, *values: Any) -> None:
        ran.setdefault(str(half.state["stream"]["half"][0]), set()).add(threading.get_ident())
        plain(half, *values)

    plain = Half.run
    monkeypatch.setattr(Half, "run", run)
    for _ in FileBlocks(filters()).process(np.zeros((9, 3 * MOST, 2), dtype=np.float32)):
        break
    front, back = ran.values()
    assert len(front) == len(back) == len(front | back | {threading.get_ident()}) - 2 == 1
    assert not [t for t in threading.enumerate() if t.name == "ahead"], "both end with the work"


@pytest.mark.parametrize(
    ("ending", "subtype"),
    [("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"), ("aiff", "PCM_24"), ("flac", "PCM_24")],
)
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_those_of_libsndfile(tmp_path: Path, ending: str, subtype: str, dtype: Any, channels: int) -> None:
    edges = [1.0, -1.0, 1.5, -1.5, 0.0, -0.0, 2.0**-31, -(2.0**-31), 2.0**-24, -(2.0**-24), 2.0**-33, 1 - 2.0**-24]
    y = np.concatenate([np.random.default_rng(3).uniform(-1.1, 1.1, 993), edges]).astype(dtype).reshape(channels, -1)
    with files.sink(tmp_path / f"ours.{ending}", FS, len(y), subtype, y.shape[1]) as out:
        for piece in np.split(y, [1, 10, 101], axis=1):
            out.write(piece)
    sf.write(tmp_path / f"theirs.{ending}", y.T, FS, subtype=subtype)
    without_clock(tmp_path / f"theirs.{ending}")
    assert (tmp_path / f"ours.{ending}").read_bytes() == (tmp_path / f"theirs.{ending}").read_bytes()


def test_levels_are_those_of_the_file(tmp_path: Path) -> None:
    x = np.random.default_rng(4).uniform(-0.3, 0.3, (70001, 2))
    sf.write(tmp_path / "in.wav", x, FS, subtype="DOUBLE")
    with files.SoundSource(tmp_path / "in.wav") as source:
        done = render_file(filters(), source, tmp_path / "out.wav", subtype="FLOAT")
    y = sf.read(tmp_path / "out.wav")[0]
    assert np.array_equal(done.peak, np.abs(y).max(axis=0))
    np.testing.assert_allclose(done.rms, np.sqrt(np.mean(y**2, axis=0)), rtol=1e-9)


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_the_disk_begins_while_samples_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtype: str) -> None:
    begun: list[tuple[int, int]] = []

    def begin(handle: int, place: int, size: int) -> bool:
        begun.append((place, size))
        return begin_to_disk(handle, place, size)

    monkeypatch.setattr(files, "begin_to_disk", begin)
    with files.sink(tmp_path / "out.wav", FS, 3, subtype, 5000) as out:
        for _ in range(5):
            out.write(np.full((3, 1000), 0.5))
    ends = [place + size for place, size in begun]
    assert [place for place, _ in begun[1:]] == ends[:-1]
    assert ends[-1] == (tmp_path / "out.wav").stat().st_size
