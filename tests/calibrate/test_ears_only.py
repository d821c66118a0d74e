"""A session without a polar set: filters, prediction, verification and report, without any metric of a beam."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sweetspot.calibrate.plant import one_direction
from sweetspot.measure.session import Session
from sweetspot.processor import store

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_ears_alone_give_filters_a_verdict_and_a_page(tmp_path: Path, crooked_text: str, sweetspot: Command) -> None:
    (tmp_path / "rig.toml").write_text(crooked_text)
    assert sweetspot("measure", "ears", "rig.toml", "--unit", "E-1").returncode == 0
    done = sweetspot("calibrate", "E-1", "--json")
    assert done.returncode == 0, done.stderr
    run = next((tmp_path / "runs" / "E-1").iterdir())
    filters = store.read(run)
    with Session.read(run / "session.h5") as session:
        ears = session.responses("ears")
    here = one_direction.stand_in(ears, 0)
    f = np.fft.rfftfreq(4096, 1 / ears.fs)
    heard = np.fft.rfft(here.h[0, 0], 4096, axis=-1) * np.asarray(filters.response(f))[2]
    inside = (f > 500) & (f < 6000)
    together = np.abs(heard.sum(axis=0))[inside] / np.abs(heard).sum(axis=0)[inside]
    assert np.percentile(together, 10) > 0.8  # all drivers in phase at the listener
    done = sweetspot("verify", "E-1", "--fault", "disk-full at=2")
    assert done.returncode == 3
    assert "Free some space, then: sweetspot verify" in done.stderr
    done = sweetspot("verify", "E-1", "--json")
    assert done.returncode in (0, 1), done.stderr
    metrics = {m["name"]: m for m in json.loads(done.stdout)["metrics"]}
    assert not [n for n in metrics if "beam" in n]
    mean = metrics["cancellation, mean"]
    assert abs(mean["heard"] - mean["predicted"]) < 1.0
    done = sweetspot("report", "E-1")
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text()
    assert "no beam is judged" in page
    assert "5 head positions, 3 drivers, " in page  # and no direction
