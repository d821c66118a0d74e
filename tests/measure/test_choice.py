"""The recommended sweep: as loud as the limits allow, as long as the noise requires."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import folder, plan
from sweetspot.measure.preflight import files, run, sweep_choice
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file.added_faults import with_faults
from sweetspot.rigs.rig_file.description import Description, parse

WANTED_DB = 58.0


def noisy(text: str) -> str:
    """The crooked rig with noise at its microphones that requires longer sweeps."""
    return text.replace("seed = 5", "seed = 5\nmic_noise_db_spl = 38.0")


def chosen_for(rig: Description, wanted_db: float) -> sweep_choice.Choice:
    with open_rig(rig, serial="LAB-0001") as opened:
        _, outcome = run.check(opened, run.only(rig, "ears"), runs=Path("."), move=False)
    return sweep_choice.choose(outcome, wanted_db)


def test_a_session_with_it_has_the_signal_to_noise_that_was_asked_for(crooked_text: str, tmp_path: Path) -> None:
    rig = parse(noisy(crooked_text), folder=tmp_path)
    chosen = chosen_for(rig, WANTED_DB)
    assert chosen.reached
    assert 1.5 < chosen.seconds * chosen.repeats < 40.0
    text = files.with_sweep(rig.text, chosen.table)
    one = text.index("    { x = 0.03"), text.index("]\n[polar]")
    rig = parse(text[: one[0]] + text[one[1] :], folder=tmp_path)
    made = folder.new(tmp_path, "LAB-0001", rig, datetime(2026, 1, 1, tzinfo=UTC))
    with open_rig(rig, serial="LAB-0001") as opened, Session.resume(made / "session.h5") as session:
        measure(opened, session, plan.make(rig, "ears"), ask=lambda m: None, step=lambda s: None)
        h, error = session.responses("ears"), session.per_bin("ears", "stderr")[0]
    f = np.fft.rfftfreq(h.h.shape[-1], 1.0 / rig.fs)
    power = np.abs(np.fft.rfft(h.h[0])) ** 2 / error**2
    worst = min(
        10.0 * np.log10(np.mean(power[m, d, (f > centre / 1.414) & (f < min(centre * 1.414, chosen.band_hz[1]))]))
        for centre in (250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
        for d, driver in enumerate(rig.driver)
        for m in range(2)
        if centre / 1.414 > 2.0 * driver.band_hz[0]
    )
    assert worst == pytest.approx(WANTED_DB, abs=2.5)


def test_twice_the_signal_costs_twice_the_time_and_what_is_too_long_is_repeated(
    crooked_text: str, tmp_path: Path
) -> None:
    rig = parse(noisy(crooked_text), folder=tmp_path)
    some = [chosen_for(rig, db) for db in (WANTED_DB, WANTED_DB + 3.01, WANTED_DB + 12.0, 105.0)]
    length = [one.seconds * one.repeats for one in some]
    assert length[1] / length[0] == pytest.approx(2.0, abs=0.1)
    assert some[2].repeats > 1
    assert max(one.seconds for one in some) <= sweep_choice.SECONDS[1]
    assert not some[3].reached
    assert some[3].repeats == sweep_choice.MOST_REPEATS
    assert "the SNR cannot be reached" in some[3].text()
    assert some[0].band_hz == (min(d.band_hz[0] for d in rig.driver), max(d.band_hz[1] for d in rig.driver))


def test_the_level_stays_under_every_limit(crooked_text: str, tmp_path: Path) -> None:
    text = noisy(crooked_text)
    free = chosen_for(parse(text, folder=tmp_path), WANTED_DB)
    rig = parse(text.replace("[limits]", "[limits]\nloudest_db_spl = 70.0", 1), folder=tmp_path)
    quiet = chosen_for(rig, WANTED_DB)
    assert quiet.level_dbfs < free.level_dbfs
    assert "loudest_db_spl = 70" in quiet.limit
    heard = []
    with open_rig(sweep_choice.applied(rig, quiet), serial="LAB-0001") as opened:
        wanted = plan.make(opened.description, "ears")
        for signal in wanted.sources.signals:
            x = opened.interface.capture(signal).x
            for mic in rig.mic:
                pa = np.max(np.abs(x[mic.channel - 1])) * rig.interface.full_scale_v
                heard.append(20 * np.log10(pa / (mic.sensitivity_mv_per_pa / 1000) / np.sqrt(2) / 20e-6))
    assert 70.0 - 4.0 < max(heard) < 70.5


def test_a_driver_that_is_not_heard_is_named(crooked_text: str, tmp_path: Path) -> None:
    rig = with_faults(parse(noisy(crooked_text), folder=tmp_path), ["dead driver=right"])
    with pytest.raises(HardwareTrouble, match=r"no sweep can be chosen: right\. .*sweetspot rig check"):
        chosen_for(rig, WANTED_DB)


def test_a_rig_file_keeps_its_comments() -> None:
    text = "[sweep]   # as we like it\r\nseconds = 2.5e0 # long\r\nband_hz = [ 40, 20_000 ]# wide\r\n[lab]\r\n"
    new = files.with_sweep(text, {"band_hz": [90.0, 18000.0], "seconds": 1.4, "repeats": 2})
    assert new == (
        "[sweep]   # as we like it\r\nrepeats = 2\r\nseconds = 1.4 # long\r\n"
        "band_hz = [90.0, 18000.0]# wide\r\n[lab]\r\n"
    )
    assert files.with_sweep('name = "x"', {"seconds": 1.5}) == 'name = "x"\n\n[sweep]\nseconds = 1.5\n'
    with pytest.raises(BadInput, match=r"line 2 of the rig file is not one value of band_hz"):
        files.with_sweep("[sweep]\nband_hz = [\n40, 20000]\n", {"band_hz": [90.0, 18000.0]})


def test_as_a_command(sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    refused = sweetspot("rig", "sweep", "puck", "--write")
    assert refused.returncode == 2
    assert "is part of sweetspot" in refused.stderr
    own = tmp_path / "own.toml"
    before = find("puck").read_text(encoding="utf-8")
    own.write_text(before, encoding="utf-8")
    done = sweetspot("rig", "sweep", str(own), "--snr", "63", "--write", "--json")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    rig = parse(own.read_text(encoding="utf-8"), folder=tmp_path)
    assert rig.sweep.seconds == message["sweep"]["seconds"] > 2.0
    assert message["written"]
    assert [line for line in own.read_text().splitlines() if "#" in line] == [
        line for line in before.splitlines() if "#" in line
    ]
    short = sweetspot("rig", "sweep", str(own), "--snr", "110")
    assert short.returncode == 1
    assert "the SNR cannot be reached" in short.stdout


def test_microphones_with_a_capture_of_their_own_do_not_choose_the_session_s_sweep() -> None:
    """The ready-made line was not ready: 107 dB SPL at its built-in microphone, whose own sweep is 20 dB lower."""
    rig = parse(find("line").read_text(), folder=find("line").parent)
    rig = rig.model_copy(update={"mic": tuple(m for m in rig.mic if m.name in ("ear_left", "left", "built_in"))})
    with open_rig(rig, serial="LAB-0001") as opened:
        found, outcome = run.check(opened, run.only(rig, None), runs=Path("."), move=False)
    levels = {f.subject: f for f in found if f.check == "level"}
    assert {name: f.outcome for name, f in levels.items()} == dict.fromkeys([m.name for m in rig.mic], "pass")
    assert levels["built_in"].values["loudest_db_spl"] == pytest.approx(87.0, abs=1.0)
    chosen = sweep_choice.choose(outcome, 60.0)
    assert chosen.limit == "-6.5 dBFS, 0.5 dB under limits.ceiling_dbfs"
    assert chosen.at.endswith(", ear_left")
