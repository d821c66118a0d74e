"""All drivers in one short capture at microphones that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import folder
from sweetspot.measure.monitor import LONGEST_S, plan_at_once
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse
from tests.conftest import NOON

FRONT = '[[mic]]\nname = "front"\nchannel = 7\nsensitivity_mv_per_pa = 12.5\nuse = "monitor"\nat = [0.9, 0.1, 0.05]\n'


def with_monitor(crooked_text: str, place: Path) -> Description:
    """The crooked rig with a monitor."""
    return parse(crooked_text.replace("[ears]", f"{FRONT}[ears]"), folder=place)


def test_one_capture_of_two_seconds_hears_every_driver(
    crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]
) -> None:
    description = with_monitor(crooked_text, tmp_path)
    rig, wanted = lab_rig(description, "M-1"), plan_at_once(description, "monitor")
    assert wanted.seconds <= LONGEST_S
    run = folder.new(tmp_path / "runs", "M-1", description, NOON)
    with Session.resume(run / "session.h5") as session:
        measure(rig, session, wanted, ask=lambda move: None, step=lambda note: None)
    with Session.read(run / "session.h5") as session:
        heard = session.responses("monitor")
        assert session.sets == ()
    truth = rig.interface.world.at_fixed(description.monitor_mics[0], 0.0)  # type: ignore[attr-defined]
    taps = heard.h.shape[-1]
    exact = np.roll(np.fft.irfft(truth, axis=-1), heard.zero, axis=-1)[:, :taps]
    f = np.fft.rfftfreq(taps, 1.0 / heard.fs)
    for low, high, limit in ((500.0, 8000.0, -60.0), (8000.0, 14000.0, -40.0)):
        inside = (f >= low) & (f < high)
        there, here = (np.fft.rfft(x)[:, inside] for x in (exact, heard.h[0, 0]))
        error = np.sum(np.abs(here - there) ** 2, axis=1) / np.sum(np.abs(there) ** 2, axis=1)
        assert (10.0 * np.log10(error) < limit).all()


def test_a_rig_without_such_microphones_says_what_is_missing(crooked: Description) -> None:
    with pytest.raises(BadInput, match='use = "monitor"'):
        plan_at_once(crooked, "monitor")


def test_more_drivers_than_two_seconds_hold_are_refused(crooked_text: str, tmp_path: Path) -> None:
    driver = '[[driver]]\nname = "d{n}"\nchannel = {n}\nat = [0.0, 0.08, 0.0]\nband_hz = [100, 18000]\n'
    more = "".join(driver.format(n=n) for n in range(20, 52))
    description = parse(crooked_text.replace("[[mic]]", f"{more}{FRONT}[[mic]]", 1), folder=tmp_path)
    with pytest.raises(BadInput, match="do not fit into one capture"):
        plan_at_once(description, "monitor")
