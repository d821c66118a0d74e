"""A session without ears: the centre's beam, plain stereo at the sides, and one message where ears are needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from sweetspot.measure.session import Session
from sweetspot.processor import store

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_half_a_ring_of_one_driver_states_no_contrast(tmp_path: Path, data: Path, sweetspot: Command) -> None:
    """Directions from 0 to 180 degrees: what there is of a figure, and no figure that is not a number."""
    table = data / "polar" / "NS15_02a.txt"
    assert sweetspot("measure", "import", table, "--unit", "NS15").returncode == 0
    done = sweetspot("calibrate", "NS15")
    assert done.returncode == 0, done.stderr
    assert "no direction at ±90 degrees was measured" in done.stdout
    assert "both played by 'driver_1'" in done.stdout
    assert "nan" not in done.stdout
    assert "Warning" not in done.stderr
    assert sweetspot("report", "NS15").returncode == 0
    page = next((tmp_path / "runs" / "NS15").glob("*/report.html")).read_text(encoding="utf-8")
    assert "1 driver, no ears used" in page
    assert "Centre over ±90°, least" not in page
    assert ">nan" not in page


def test_a_polar_set_alone_gives_the_beam(tmp_path: Path, crooked_text: str, sweetspot: Command) -> None:
    (tmp_path / "rig.toml").write_text(crooked_text)
    assert sweetspot("measure", "polar", "rig.toml", "--unit", "B-1").returncode == 0
    done = sweetspot("calibrate", "B-1", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    run = next((tmp_path / "runs" / "B-1").iterdir())
    filters = store.read(run)
    with Session.read(run / "session.h5") as session:
        polar = session.responses("polar")
    low, high = 500.0, 1500.0
    f = np.fft.rfftfreq(8192, 1 / polar.fs)
    inside = (f > low) & (f < high)
    direct = polar.h[:, 0, :, : polar.zero + round(0.009 * polar.fs)]
    w = np.asarray(filters.response(f))[2]
    heard = np.abs(np.einsum("pdf,df->pf", np.fft.rfft(direct, 8192), w))[:, inside] ** 2
    azimuth = polar.positions["azimuth_deg"]
    at = {a: heard[np.argmin(np.abs(azimuth - a))].mean() for a in (0, 90, -90)}
    one = np.abs(np.fft.rfft(direct, 8192))[..., inside] ** 2
    alone = one[np.argmin(np.abs(azimuth))].mean(axis=-1) / one[np.argmin(np.abs(azimuth - 90))].mean(axis=-1)
    contrast = 10 * np.log10(2 * at[0] / (at[90] + at[-90]))
    assert contrast > 6.0 + 10 * np.log10(alone.max()), "the beam beats the best driver by itself"
    assert np.mean(outcome["beam"]["contrast_db"]) > 6.0
    left, right = (filters.drivers.index(d) for d in outcome["pair"])
    for program, driver in ((0, left), (1, right)):
        others = [d for d in range(len(filters.drivers)) if d != driver]
        assert np.max(np.abs(filters.taps[program, driver])) > 0.0
        assert np.all(filters.taps[program, others] == 0.0)
    together = np.einsum("df,cdf->cf", np.fft.rfft(direct[np.argmin(np.abs(azimuth))], 8192), filters.response(f))
    level = 10 * np.log10(np.mean(np.abs(together[:, inside]) ** 2, axis=-1))
    assert np.ptp(level) < 3.0, "one side as loud ahead as the centre"
    soundfile.write(tmp_path / "in.wav", np.random.default_rng(3).standard_normal((4800, 2)) * 0.1, polar.fs)
    assert sweetspot("process", run / "filterset.h5", "in.wav", "out.wav").returncode == 0
    done = sweetspot("report", "B-1", "--json")
    assert done.returncode == 0, done.stderr
    page = Path(tmp_path / json.loads(done.stdout)["report"]).read_text(encoding="utf-8")
    shown = [f"{min(outcome['beam']['contrast_db']):.1f}", f"{np.mean(outcome['beam']['directivity_index_db']):.1f}"]
    assert all(f"<dd>{figure}<small> dB</small></dd>" in page for figure in shown)
    assert "left and right are plain stereo" in page
    for picture in ("map-before", "map-predicted", "cuts", "directivity", "on-axis", "gain2", "snr-polar"):
        assert f'id="{picture}' in page or f"{picture}-" in page, picture
    for command in (["verify", "B-1"], ["report", "B-1", "--listen", "in.wav"], ["calibrate", "B-1", "--compare"]):
        done = sweetspot(*command)
        assert done.returncode == 2, done.stderr
        assert "ears" in done.stderr
