"""What the ears would hear, against the naive sum over drivers, and the files that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.processor import files, listening, store
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.listening import DummyHead
from sweetspot.processor.plain import on_pair
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import db
from tests.filter_sets import filter_set

FS = 47872
RNG = np.random.default_rng(31)
HEAD = DummyHead(RNG.standard_normal((2, 3, 700)) * np.exp(-np.arange(700) / 90.0), on_pair((2, 0), 3))


def filters(method: str = "off") -> FilterSet:
    return filter_set(0.05 * RNG.standard_normal((3, 3, 96)), method, channels=(1, 4, 2), headroom_db=14.0)


def test_ears_hear_the_sum_over_programs_and_drivers() -> None:
    f, x = filters(), 0.1 * RNG.standard_normal((2, 3000))
    got = listening.at_ears(f, HEAD, x)
    naive = np.zeros_like(got)
    for ear in range(2):
        for driver in range(3):
            fed = sum(np.convolve(x[p], f.taps[p, driver]) for p in range(2))
            whole = np.convolve(fed, HEAD.h[ear, driver])
            naive[ear, : len(whole)] += whole
    assert got.shape[1] >= 3000 + 95 + 699
    assert np.abs(got - naive).max() < 1e-5 * np.abs(naive).max()


def test_before_is_plain_stereo_on_the_reference_drivers_as_loud_and_as_late() -> None:
    plain = listening.unprocessed(filters("projection"), HEAD)
    x = np.zeros((2, 64))
    x[0, 0] = 1.0
    heard = listening.at_ears(plain, HEAD, x)
    expected = 10 ** (-14.0 / 20.0) * HEAD.h[:, 2]
    assert heard[:, 40 : 40 + 700] == pytest.approx(expected, abs=1e-6)
    assert np.abs(heard[:, :40]).max() < 1e-6


def test_files_share_one_gain_and_one_length(tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    soundfile.write(source, 0.2 * RNG.standard_normal((90000, 2)), 44100, subtype="FLOAT")
    f = filters("projection")
    done = listening.render_at_ears(f, HEAD, lambda: files.SoundSource(source), tmp_path / "out.wav", subtype="FLOAT")
    after, fs = soundfile.read(done.after, always_2d=True)
    before, _ = soundfile.read(done.before, always_2d=True)
    assert done.before.name == "out-before.wav"
    assert fs == FS
    assert len(after) == len(before) == done.samples
    assert db(max(np.abs(after).max(), np.abs(before).max())) == pytest.approx(-1.0, abs=0.01)
    other = np.sqrt(np.mean(before**2)) / np.sqrt(np.mean(after**2))
    raw = listening.at_ears(listening.unprocessed(f, HEAD), HEAD, 0.2 * RNG.standard_normal((2, 90000)))
    wet = listening.at_ears(f, HEAD, 0.2 * RNG.standard_normal((2, 90000)))
    assert other == pytest.approx(np.sqrt(np.mean(raw**2)) / np.sqrt(np.mean(wet**2)), rel=0.05)


def test_what_cannot_be_heard_is_reported(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros((4000, 2)), FS)
    with pytest.raises(BadInput, match="silent"):
        listening.render_at_ears(
            filters(), HEAD, lambda: files.SoundSource(tmp_path / "silent.wav"), tmp_path / "out.wav"
        )
    assert not (tmp_path / "out.wav").exists()
    store.write(tmp_path / "filterset.h5", filters())
    with pytest.raises(BadInput, match="sweetspot calibrate"):
        listening.dummy_head(tmp_path / "filterset.h5")


def test_a_head_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = {"at_ears": HEAD.h.astype(np.float32), "reference": np.array((2, 0))}
    store.write(tmp_path / "filterset.h5", filters(), kept)
    head = listening.dummy_head(tmp_path)
    assert np.array_equal(head.plain, HEAD.plain)
    assert head.h == pytest.approx(HEAD.h, abs=1e-6)


def test_plain_stereo_that_is_not_of_these_drivers_is_refused(tmp_path: Path) -> None:
    """Of two drivers for three, with an even number of taps, or no number."""
    sides = on_pair((0, 1), 3)
    for kept in (sides[:, :2], np.repeat(sides, 2, axis=-1), sides * np.nan):
        store.write(tmp_path / "filterset.h5", filters(), {"at_ears": HEAD.h, "plain": kept})
        with pytest.raises(BadInput, match=r"plain stereo|not a number|finite"):
            listening.dummy_head(tmp_path / "filterset.h5")
