"""Correction files: makers' own, in every dialect, with values that a person looked up in them; and malformed ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import microphone, plan
from sweetspot.measure.correction import load
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.interface import LabInterface
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.rig_file.description import parse

UMIK2 = '"Sens Factor =-12.07dB, AGain =18dB, SERNO: 8108494"\r\n10.054\t-4.1234\r\n1000.0\t0.5\r\n20016.816\t-2.5\r\n'
DAYTON = "*1000Hz\t-38.5\n\t\n20.00\t-1.2\n22.29\t0.0\n1000.00\t0.0\n20000.00\t2.3\n"
OMNIMIC = '"Sens Factor =-.5dB, SERNO: OM-1234"\n"OmniMic V2"\n20.0 1.5 12.0\n1000.0 0.0 -1.0\n20000.0 -2.0 -45.0\n'
REW = (
    "* Measurement data measured by REW V5.31\n* Source: USB, 0 volume: 0.5\n* Freq(Hz), SPL(dB), Phase(degrees)\n"
    "20.000, -1.250, 170.0\n1000.000, 0.000, -170.0\n20000.000, 1.5, -150.0\n"
)
FRD = "; response of a capsule\n20.0\t-3.00\t10\n// measured twice\n200\t-.25\t5\n20e3\t+1.75\t-30\n"
GERMAN = "Frequenz;Pegel;Phase\n20,5;-1,25;3,5\n1000;0;0\n20000,0;0,75;-12,25\n"
SPACED = "Freq(Hz) SPL(dB)\n20,5 -1,25\n1000,0 0,0\n2e4 0,75\n"


@pytest.mark.parametrize(
    ("text", "first", "last", "maker", "phase"),
    [
        (UMIK2, (10.054, -4.1234), (20016.816, -2.5), "miniDSP UMIK-2", None),
        (DAYTON, (20.0, -1.2), (20000.0, 2.3), "Dayton or OmniMic", None),
        (OMNIMIC, (20.0, 1.5), (20000.0, -2.0), "OmniMic", -45.0),
        (REW, (20.0, -1.25), (20000.0, 1.5), "REW", -150.0),
        (FRD, (20.0, -3.0), (20000.0, 1.75), "", -30.0),
        (GERMAN, (20.5, -1.25), (20000.0, 0.75), "", -12.25),
        (SPACED, (20.5, -1.25), (20000.0, 0.75), "", None),
        ("\ufeff20,1.5\n2000,2\n", (20.0, 1.5), (2000.0, 2.0), "", None),
        ("20 , 1.5\n2000 , 2\n", (20.0, 1.5), (2000.0, 2.0), "", None),
        ("0 1.5\n20 1.5\n20 1.5\n2000 2\n", (20.0, 1.5), (2000.0, 2.0), "", None),
    ],
    ids=["umik2", "dayton", "omnimic", "rew", "frd", "semicolons", "decimal commas", "csv", "spaced commas", "drc"],
)
def test_dialects(
    text: str, first: tuple[float, float], last: tuple[float, float], maker: str, phase: float | None
) -> None:
    found = microphone.read(text, "x")
    assert tuple(found.points[0]) == first
    assert tuple(found.points[-1]) == last
    assert found.maker == maker
    if phase is None:
        assert found.phase is None
    else:
        assert found.phase is not None
        assert found.phase[-1] == phase


@pytest.mark.parametrize(
    ("text", "kind", "value", "gain", "mv"),
    [
        (UMIK2, "factor", -12.07, 18.0, 22.18),
        (DAYTON, "volt", -38.5, None, 11.89),
        (OMNIMIC, "factor", -0.5, None, 84.04),
        ("* Sensitivity: 12,5 mV/Pa\n" + SPACED.split("\n", 1)[1], "volt", -38.06, None, 12.5),
        ("# Sensitivity -30.1 dBFS\n20 0\n2000 0\n", "dbfs", -30.1, None, 22.10),
    ],
)
def test_sensitivities(text: str, kind: str, value: float, gain: float | None, mv: float) -> None:
    """mV/Pa by hand: 10^(dB/20) V/Pa; or the rms of a sine at that level below full scale, for 1 Pa."""
    found = microphone.read(text, "x").sensitivity
    assert found is not None
    assert (found.kind, found.gain_db) == (kind, gain)
    assert found.value == pytest.approx(value, abs=0.01)
    assert found.mv_per_pa == pytest.approx(mv, rel=1e-3)
    assert f"{found.mv_per_pa:.3g} mV/Pa" in found.text()


def test_real_files(data: Path) -> None:
    """Values looked up in the files by eye."""
    folder = data / "mic_cal"
    umik = microphone.read((folder / "miniDSP_UMIK-1_SN7047870_90deg.txt").read_text(), "umik")
    assert (umik.maker, umik.serial) == ("miniDSP UMIK-1", "7047870")
    assert umik.sensitivity is not None
    assert (umik.sensitivity.kind, umik.sensitivity.value, umik.sensitivity.line) == ("factor", -0.8643, 1)
    assert len(umik.points) == 615
    assert umik.phase is None
    assert tuple(umik.points[0]) == (10.054, -3.9156)
    assert tuple(umik.points[6]) == (10.829, -3.0255)
    assert tuple(umik.points[-1]) == (20016.816, -6.2960)
    assert "90-degree" in umik.notes[1]

    ecm = microphone.read((folder / "DRC_ecm8000.txt").read_text(), "ecm")
    assert len(ecm.points) == 125, "126 lines, the first at 0 Hz"
    assert ecm.phase is not None
    assert (*ecm.points[1], ecm.phase[1]) == (25.1785, 0.137, 25.8)
    assert (*ecm.points[-1], ecm.phase[-1]) == (22050.0, -4.92, -15.0)

    wm60 = microphone.read((folder / "DRC_wm-60a.txt").read_text(), "wm60")
    assert wm60.phase is not None
    assert (*wm60.points[0], wm60.phase[0]) == (300.622, 0.336, -0.7)
    assert (*wm60.points[-1], wm60.phase[-1]) == (22050.0, -3.13, 2.03)

    wm61 = microphone.read((folder / "DRC_wm-61a.txt").read_text(), "wm61")
    assert wm61.phase is None
    assert tuple(wm61.points[2]) == (2517.141803, 0.017492711)
    assert len(wm61.points) == 23


def test_every_file_of_the_folder_is_read(data: Path) -> None:
    files = sorted((data / "mic_cal").iterdir())
    assert len(files) >= 4
    for file in files:
        assert len(microphone.read(file.read_text(), file.name).points) > 20


MALFORMED = [
    ("empty", "", "holds 0 points"),
    ("only comments", "* a\n# b\n", "holds 0 points"),
    ("one point", "20 1\n", "holds 1 points"),
    ("only 0 Hz and a point", "0 1\n20 1\n", "holds 1 points"),
    ("falling", "20 1\n2000 2\n1000 2\n", "line 3: 1000 Hz does not rise after 2000 Hz"),
    ("two levels at one frequency", "20 1\n\n2000 2\n2000 3\n", "line 4: 2000 Hz has 3 dB here, 2 dB in line 3"),
    ("negative frequency", "20 1\n-30 4\n", "line 2: -30 Hz is no frequency"),
    ("0 Hz later", "20 1\n0 4\n", "line 2: 0 Hz is no frequency"),
    ("beyond every microphone", "20 1\n3e6 4\n", "line 2: 3e\\+06 Hz is no frequency"),
    ("not a number", "20 1\n2000 nan\n", "line 2: nan is no value"),
    ("infinite", "20 1\n2000 -inf\n", "line 2: -inf is no value"),
    ("NaN first", "NaN 1\n2000 1\n", "line 1: NaN is no value"),
    ("one column", "20\n30\n", "line 1: '20' has one column"),
    ("level missing", "20 1\n2000\n", "line 2: '2000' holds no frequency and level"),
    ("level missing between semicolons", "20;1\n2000;;\n", "line 2: '2000;;' holds no frequency"),
    ("a word for a level", "20 1\n2000 low\n", "line 2: .*'low'"),
    ("a sign apart", "20 1\n2000 - 4\n", "line 2: .*'-'"),
    ("words among the data", "20 1\nend of data\n2000 1\n", "line 2: .*'end'"),
    ("sound levels", "20 85.0\n2000 86.0\n", "line 1: 85 dB is implausible for a microphone"),
    ("a slipped mark", "20 0.5\n1000 0.4\n2000 38\n", "line 3: jumps by \\+37.6 dB"),
    ("kilohertz", "0.02 1\n1 1\n20 2\n", "line 3: ends at 20 Hz; are its frequencies in kHz"),
    ("only treble", "8000 1\n9000 1\n", "line 1: begins at 8000 Hz"),
    ("thousands", "20 1\n1,000.5 2\n", "line 2: '1,000.5' has a thousands separator"),
    ("two decimal marks", "20,5 1,5\n2000.5 2.5\n", "line 2: .*another decimal mark than the lines before"),
    ("commas for everything", "20,5,1,25\n2000,5,1,5\n", "line 1: commas may be separators or decimal marks"),
    ("a phase that comes and goes", "20 1 3\n1000 1\n2000 1 3\n", "line 2: 2 columns; the lines before have 3"),
    ("a phase that is none", "20 1 3\n2000 1 4e9\n", "line 2: a phase of 4e\\+09 degrees"),
    ("a factor that is none", '"Sens Factor =abcdB, SERNO: 1"\n20 1\n2000 1\n', "line 1: .*'abc' is no number"),
    ("a factor without a value", '"Sens Factor ="\n20 1\n2000 1\n', "line 1: .*'' is no number"),
    ("a sensitivity that is none", "*1000Hz loud\n20 1\n2000 1\n", "line 1: .*'loud' is no number"),
    ("a sensitivity beyond sense", "*1000Hz -3850\n20 1\n2000 1\n", "line 1: a sensitivity of -3850 dB"),
    ("no sensitivity", "* Sensitivity: 0 mV/Pa\n20 1\n2000 1\n", "line 1: a sensitivity of 0 mV/Pa"),
    ("a web page", "<html><p>Unable to locate calibration data</p></html>", "line 1: this is a web page"),
    ("JSON", '{"freq": [1, 2]}', "line 1: this is JSON"),
    ("a PDF", "%PDF-1.4\n1 0 obj", "line 1: this is a PDF"),
    ("binary", "20 1\n20\x0000 1\n", "line 2: holds a zero byte"),
]


@pytest.mark.parametrize(("text", "reason"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
def test_malformed_files_are_refused_with_line_and_reason(text: str, reason: str) -> None:
    assert len(MALFORMED) >= 20
    with pytest.raises(BadInput, match=rf"^mic\.txt.*{reason}"):
        microphone.read(text, "mic.txt")


def test_real_files_spoilt_in_one_place_are_refused_there(data: Path) -> None:
    """Every kind of damage to a line of a maker's file is reported with that line."""
    lines = (data / "mic_cal" / "miniDSP_UMIK-1_SN7047870_90deg.txt").read_text().splitlines()
    rng = np.random.default_rng(7)
    for damage in (
        lambda line: line.split("\t")[0],
        lambda line: line.replace("\t", "\tx"),
        lambda line: line.replace(".", ",", 1),
        lambda line: line + "99999\t1",
        lambda line: "-" + line,
        lambda line: line.split("\t")[0] + "\t71.5",
    ):
        at = int(rng.integers(10, len(lines)))
        spoilt = [*lines[: at - 1], damage(lines[at - 1]), *lines[at:]]
        with pytest.raises(BadInput, match=rf"^umik, line {at}:"):
            microphone.read("\n".join(spoilt), "umik")


def test_magnitude_is_interpolated_on_log_frequency_and_held() -> None:
    points = np.array([[100.0, 0.0], [400.0, -6.0]])
    level = 20 * np.log10(microphone.magnitude(points, np.array([0.0, 50.0, 100.0, 200.0, 400.0, 9000.0])))
    assert level == pytest.approx([0.0, 0.0, 0.0, -3.0, -6.0, -6.0], abs=1e-9)


def test_a_response_has_the_phase_of_the_file() -> None:
    """Unwrapped: half way (on log frequency) between 170 and -170 degrees is 180, not 0."""
    found = microphone.read("100 0 170\n400 -6 -170\n", "x")
    at = microphone.response(found, np.array([100.0, 200.0, 400.0]))
    assert np.degrees(np.angle(at[[0, 2]])) == pytest.approx([170.0, -170.0])
    assert at[1].real == pytest.approx(-(10 ** (-3 / 20)))
    assert np.isreal(microphone.response(microphone.read("100 0\n400 1\n", "x"), np.array([200.0]))).all()


def test_a_measurement_is_divided_by_level_and_phase_of_the_file(crooked_text: str, tmp_path: Path) -> None:
    """The same recording through a file of +6 dB and 90 degrees: half as loud, and a quarter of a turn behind."""
    (tmp_path / "mic.txt").write_text("20 6.0206 90\n20000 6.0206 90\n")
    (tmp_path / "plain.txt").write_text("20 6.0206\n20000 6.0206\n")
    bare = parse(crooked_text, folder=tmp_path)
    recording = LabInterface(World(bare, "T"), lambda: datetime(2026, 3, 4, tzinfo=UTC))
    signal = plan.make(bare, "ears").sources.signals[1]
    x = recording.capture(signal)
    spectra = []
    for name in (None, "mic.txt", "plain.txt"):
        text = crooked_text.replace(
            'name = "ear_left"\n', 'name = "ear_left"\n' + (f'calibration = "{name}"\n' if name else "")
        )
        rig = parse(text, folder=tmp_path)
        listener = CaptureAnalyser.of(rig, plan.make(rig, "ears"))
        found = listener.analysed(listener.channels(x), 1)
        assert found.reason is None
        (heard,) = found.responses
        spectra.append(np.fft.rfft(heard.h, axis=-1))
    f = np.fft.rfftfreq(heard.h.shape[-1], 1 / bare.fs)
    band = (f > 300) & (f < 15000)
    bare_, phased, plain = (s[:, band] for s in spectra)
    assert np.median(np.abs(phased[0] / bare_[0] - 0.5 * np.exp(-0.5j * np.pi))) < 1e-3
    assert np.median(np.abs(plain[0] / bare_[0] - 0.5)) < 1e-3
    assert phased[1] == pytest.approx(bare_[1], rel=1e-4), "the right ear has no file"


CURVE = {20.0: -1.5, 200.0: 0.0, 1000.0: 0.0, 20000.0: 4.5}
"""The content of the files below, each in its own format."""


def lines_of(form: Callable[[float, float], str]) -> str:
    return "".join(form(f, v) + "\n" for f, v in CURVE.items())


SAME = {
    "phase first": "Freq\tPhase\tSPL\n" + lines_of(lambda f, v: f"{f:g}\t{f / 100}\t{v}"),
    "coherence between": "f;coherence;Level [dB]\n" + lines_of(lambda f, v: f"{f:g};0.99;{v}"),
    "uncertainty": "Hz dB U95\n" + lines_of(lambda f, v: f"{f:g} {v} 0.4"),
    "V/Pa": "Frequency (Hz), Sensitivity (V/Pa)\n" + lines_of(lambda f, v: f"{f:g}, {0.02 * 10 ** (v / 20):.6f}"),
    "dB re 1 V/Pa": "Hz; dB re 1 V/Pa\n" + lines_of(lambda f, v: f"{f:g}; {v - 34:.3f}"),
    "several angles": "Hz\t0°\t30°\t90°\n" + lines_of(lambda f, v: f"{f:g}\t{v}\t{v - 1}\t{v - 5}"),
    "inverse": "* inverse response, to be added\nHz dB\n" + lines_of(lambda f, v: f"{f:g} {-v}"),
    "quoted": '"Frequency";"Level (dB)"\n' + lines_of(lambda f, v: f'"{f:g}";"{v}"'.replace(".", ",")),
    "columns listed": "% column-1: frequency (Hz)\n% column-2: gain (dB)\n" + lines_of(lambda f, v: f"{f:g}\t{v}"),
    "kilohertz": "Frequency (kHz)\tLevel (dB)\n" + lines_of(lambda f, v: f"{f / 1000:g}\t{v}"),
    "uncertainty by its sign": "Hz;Response dB;±dB (k=2)\n" + lines_of(lambda f, v: f"{f:g};{v};0.4"),
    "uncertainty of +/-": "Hz\tdB\t+/- dB\n" + lines_of(lambda f, v: f"{f:g}\t{v}\t0.4"),
    "on axis in words": "Frequency\tOn-axis\t30deg\n" + lines_of(lambda f, v: f"{f:g}\t{v}\t{v - 1}"),
    "not inverted": "* response, not inverted\nHz dB\n" + lines_of(lambda f, v: f"{f:g} {v}"),
    "one field quoted": lines_of(lambda f, v: f'{f:.1f},"{v}"'),
    "one field quoted, decimal commas": lines_of(lambda f, v: f'{f:g};"{v}"'.replace(".", ",")),
    "bars": "Hz | dB\n" + lines_of(lambda f, v: f"{f:g} | {v}"),
    "minus of a word processor": lines_of(lambda f, v: f"{f:g}\t{v}".replace("-", "\u2212")),
    "a section for each angle": "[90°]\n"
    + lines_of(lambda f, v: f"{f:g}\t{v - 5}")
    + "[0°]\n"
    + lines_of(lambda f, v: f"{f:g}\t{v}")
    + "[45°]\n20\t9\n",
    "sections": "[MIC];\nMICser;77;\n[TABLE];;\n" + lines_of(lambda f, v: f"{f:g};{v};9") + "[END];\nbye;\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_columns_are_what_their_headlines_and_units_say(text: str) -> None:
    found = microphone.read(text, "x")
    assert found.points == pytest.approx(np.array(list(CURVE.items())), abs=2e-3)


def test_radians_and_degrees_are_distinguished() -> None:
    in_degrees = microphone.read("Hz dB Phase(deg)\n20 0 90\n2000 1 -45\n", "x").phase
    assert in_degrees == pytest.approx([90.0, -45.0])
    for head in ("Hz dB Phase [rad]\n", "# freq_Hz mag_dB phase_rad\n", "f\tdB\tphase\nHz\tdB\trad\n"):
        in_radians = microphone.read(head + "20 0 1.5708\n2000 1 -0.7854\n", "x").phase
        assert in_radians == pytest.approx([90.0, -45.0], abs=1e-3), head


@pytest.mark.parametrize(
    ("head", "mv"),
    [
        ("% sensitivity = 14.5 mV/Pa\n% by calibrator:\nsensitivity = 6.76 mV/Pa\n", 6.76),
        ("sensitivity = 0.0119 V/Pa\n% was: sensitivity = 12.5 mV/Pa\n", 11.9),
        ("# Sensitivity @ 1 kHz: 12.5 mV/Pa\n", 12.5),
        ("; Sens. at 1000 Hz: -40 dBV/Pa\n", 10.0),
        ("* Sensitivity (250 Hz, 23 C): 50,1 mV per Pa\n", 50.1),
        ("# Sensitivity: 12.5 ± 0.3 mV/Pa\n", 12.5),
        ("# Sensitivity [mV/Pa]: 12.5\n", 12.5),
        ("Sens @ 1 kHz;12.5;mV/Pa\nf;dB\n", 12.5),
        ("Sensitivity;-38.062;dB re 1V/Pa\nf;dB\n", 12.5),
        ("# Empfindlichkeit: 12,5 mV/Pa\n", 12.5),
        ("# Sensitivity 12500 µV/Pa (12.5 mV @ 94 dB SPL)\n", 12.5),
        ("# S = 12.5 mV/Pa\n", 12.5),
        ('"Sens Factor =-1,5dB, SERNO: 8"\n', 74.90),
        ("[CALIBRATION];\nCALspl;114;\nMICmV;73.3;\n[FRD];\n", 7.33),
    ],
)
def test_the_sensitivity_that_holds_is_taken(head: str, mv: float) -> None:
    between = ";" if "\nf;" in head else " "
    found = microphone.read(head + f"20{between}0\n2000{between}1\n", "x").sensitivity
    assert found is not None
    assert found.mv_per_pa == pytest.approx(mv, rel=1e-3)


def test_a_sensitivity_without_a_known_unit_is_named() -> None:
    found = microphone.read("# Sensitivity: 12.5\n20 0\n2000 1\n", "x")
    assert found.sensitivity is None
    assert "names no unit" in found.remarks[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# Sensitivity: 12.5 mV/Pa\n# Sensitivity: 11.0 mV/Pa\n20 0\n2000 0\n", "line 1 states .* line 2"),
        ("Hz mV/Pa\n20 12\n2000 12.5\n", ""),
        ("# Sensitivity: 50 mV/Pa\nHz mV/Pa\n20 12\n2000 12.5\n", "levels give 12.4. mV/Pa .* states 50"),
        ("Hz x\n20 12.5\n2000 12.5\n", "\\+12.5 dB at 1 kHz"),
        ("Hz\t30 deg\t90 deg\n20\t0\t-1\n2000\t0\t-3\n", "none of them at 0 degrees"),
        ("Hz;Correction (dB)\n20;1\n2000;0\n", "may be the microphone's response or its inverse"),
        (
            "".join(
                f"{f} {r}\n" for f, r in zip((10, 100, 500, 1000, 5000, 9000), (0.7, 0.9, 1, 1, 1.1, 2), strict=True)
            ),
            "a ratio",
        ),
        ("Hz dBFS\n20 -20\n2000 -20\n", "-20.0 dB at 1 kHz"),
        ("[30°]\n20 0\n2000 0\n[90°]\n20 0\n2000 -3\n", "sections at 30, 90 degrees, none of them at 0"),
        ("20 0 1 2\n2000 0 1 2\n", "4 columns without a header line"),
    ],
)
def test_what_may_mean_two_things_is_refused(text: str, reason: str) -> None:
    if not reason:
        assert microphone.read(text, "x").points[:, 1] == pytest.approx([-0.301, 0.053], abs=0.001)
        return
    with pytest.raises(BadInput, match=reason):
        microphone.read(text, "x")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_every_command_reads_every_encoding_alike(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "mic.txt"
    file.write_bytes("* 90° to the capsule, sensitivity 12.5 mV/Pa\r\n20\t1.5\r\n2000\t-1\r\n".encode(encoding))
    found = load(file)
    assert found.points.tolist() == [[20.0, 1.5], [2000.0, -1.0]]
    assert found.sensitivity is not None
