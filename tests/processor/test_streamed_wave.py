"""WAV files from a pipe: sizes of zero or all ones in the header, other chunks ahead of the samples."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.processor.files import read_all
from sweetspot.rigs.storage.wave_header import streamed_from


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("chunk", [b"", b"LIST\x06\x00\x00\x00abcdef", b"odd!\x03\x00\x00\x00abc\x00"])
def test_samples_are_those_of_the_file_with_a_whole_header(size: int, chunk: bytes, tmp_path: Path) -> None:
    x = np.random.default_rng(3).uniform(-0.5, 0.5, (1234, 2)).astype(np.float32)
    soundfile.write(tmp_path / "whole.wav", x, 44100, subtype="PCM_24")
    whole = (tmp_path / "whole.wav").read_bytes()
    at = whole.index(b"data")
    broken = whole[:at] + chunk + b"data" + struct.pack("<I", size) + whole[at + 8 :]
    (tmp_path / "pipe.wav").write_bytes(broken[:4] + struct.pack("<I", size) + broken[8:])
    assert read_all(tmp_path / "pipe.wav") == pytest.approx(x.T, abs=1e-6)
    assert streamed_from(tmp_path / "whole.wav") is None


def test_a_file_without_samples_stays_without(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), 44100)
    assert streamed_from(tmp_path / "none.wav") is None


def test_a_finished_file_without_samples_and_with_a_comment_behind_stays_without(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), 44100)
    whole = (tmp_path / "none.wav").read_bytes() + b"LIST\x06\x00\x00\x00abcdef"
    (tmp_path / "none.wav").write_bytes(whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:])
    assert streamed_from(tmp_path / "none.wav") is None
