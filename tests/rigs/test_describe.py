"""The rig file: valid files are read, and every fault is reported in a separate line."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import description
from sweetspot.rigs.rig_file.description import Description, parse, read
from sweetspot.rigs.rig_file.lab_places import with_body
from sweetspot.rigs.rig_file.lab_tables import Lab, RoomTable
from sweetspot.rigs.rig_file.output_tables import LimitsTable
from sweetspot.rigs.rig_file.table import Table
from sweetspot.rigs.rig_file.tables import EarsTable, Polar
from sweetspot.rigs.storage import toml_table


def faults(text: str, folder: Path) -> list[str]:
    with pytest.raises(BadInput) as done:
        parse(text, folder, where="x.toml")
    first, *lines = str(done.value).split("\n")
    assert first.startswith("x.toml")
    return [line.strip() for line in lines]


def test_values_arrive(crooked: Description) -> None:
    assert crooked.driver_names == ("woofer", "left", "right")
    assert [m.name for m in crooked.ear_mics] == ["ear_left", "ear_right"]
    assert [m.name for m in crooked.polar_mics] == ["boom"]
    assert (crooked.outputs, crooked.inputs) == (6, 4)
    assert crooked.interface.loopback.in_ == 2
    assert crooked.limits.ceiling == pytest.approx(10 ** (-5 / 20))
    assert crooked.ears is not None
    assert crooked.ears.positions[2].pose.yaw == pytest.approx(np.radians(7))
    assert crooked.polar is not None
    assert np.degrees(crooked.polar.angles).tolist() == pytest.approx(list(range(-180, 180, 15)))


@pytest.mark.parametrize("path", sorted(resources.files("sweetspot.rigs").glob("*.toml")), ids=lambda p: p.name)
def test_a_checked_file_is_what_its_own_schema_makes_of_it(path: Path) -> None:
    """The file is validated once, as a plain table; the description with its text and folder follows from that."""
    text = path.read_text(encoding="utf-8")
    found = parse(text, path.parent)
    more = {"text": text, "folder": path.parent, "kept": None}
    wanted = Description.model_validate({**with_body(toml_table(text, "x.toml")), **more})
    assert found == wanted
    assert repr(found) == repr(wanted)
    assert found.model_fields_set == wanted.model_fields_set
    assert found.interface.model_fields_set == wanted.interface.model_fields_set


def test_tables_are_prepared_when_a_file_is_read() -> None:
    asked = (
        "from sweetspot.rigs.rig_file.description import Description\n"
        "from sweetspot.rigs.rig_file.table import Table\n"
        "from sweetspot.calibrate.design import BankDesign, Design, Limits\n"
        "every = [*Table.__subclasses__(), Description, Design, Limits, BankDesign]\n"
        "every += [f.annotation for f in Design.model_fields.values() if isinstance(f.annotation, type)]\n"
        "print([c.__name__ for c in every if getattr(c, '__pydantic_complete__', False)], len(every) > 30)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ceiling_dbfs", "cieling_dbfs", "limits.cieling_dbfs: unknown key; did you mean 'ceiling_dbfs'?"),
        ("[polar]", "[polr]", "polr: unknown key; did you mean 'polar'?"),
        ("channel = 1\nat", "chanel = 1\nat", "driver[2].chanel: unknown key; did you mean 'channel'?"),
        (
            "channel = 3\nat",
            "channel = 5\nat",
            "driver[3].channel: output channel 5 is already used by driver[1]",
        ),
        ("out = 6", "out = 5", "interface.loopback.out: output channel 5 is already used by driver[1].channel"),
        ("in = 2", "in = 4", "interface.loopback.in: input channel 4 is already used by mic[3].channel"),
        ('name = "left"', 'name = "right"', "driver[3].name: name 'right' is already used by driver[2].name"),
        ('name = "left"', 'name = "top\u00a0left"', r"driver[2].name: 'top\xa0left' is no name: 1 to 64 printable"),
        ('name = "left"', f'name = "{"x" * 65}"', "driver[2].name: 'xxx"),
        ('name = "crooked"', 'name = "my rig"', "name: 'my rig' is not valid: letters, digits, '_', '-' and '.' are"),
        ("at = [0.01, 0.08, 0.0]\n", "", "driver[2].at: missing; the driver's position"),
        ("ceiling_dbfs = -5.0", "ceiling_dbfs = 0.5", "limits.ceiling_dbfs: 0.5 is not valid"),
        ("level_dbfs = -6.0", "level_dbfs = -4.0", "sweep.level_dbfs: -4.0 is above limits.ceiling_dbfs = -5.0"),
        ("sensitivity_mv_per_pa = 20.0", 'calibration = "no.txt"', "mic[2].calibration: no file 'no.txt' in"),
        ("seed = 5", 'head = "no.sofa"', "lab.head: no file 'no.sofa' in"),
        ('name = "ear_left"', 'name = "ear_lefty"', "ears: needs a [[mic]] named 'ear_left'"),
        ("band_hz = [80, 15000]", "band_hz = [80, 24000]", "driver[1].band_hz: the upper edge 24000 Hz is not below"),
        ("band_hz = [80, 15000]", "band_hz = [8000, 150]", "driver[1].band_hz: [8000, 150] is reversed"),
        ('driver = "lab"\nloop', 'driver = "portaudio"\nloop', "interface.device: missing; driver 'portaudio' needs"),
        ('[stage]\ndriver = "lab"', '[stage]\ndriver = "grbl"', "stage.port: missing; driver 'grbl' needs"),
        ('[stage]\ndriver = "lab"', '[stage]\ndriver = "grlb"', "stage.driver: 'grlb' is not valid"),
        ("channel = 5\n", "channel = 0\n", "driver[1].channel: 0 is not valid"),
        ("schema = 1", "schema = 2", "schema: 2 is not valid"),
        (
            "at = [0.05, 0.06, 0.01]",
            "at = 0.05",
            "driver[1].at: 0.05 is not valid: a list in square",
        ),
        ("at = [0.05, 0.06, 0.01]", "at = [1, 2, 0, 0]", "driver[1].at: [1, 2, 0, 0] is not valid: at most 3 values, "),
        ('[stage]\ndriver = "lab"', '[[stage]]\ndriver = "lab"', "stage: [{'driver': 'lab'}] is not valid: a table is"),
    ],
)
def test_one_fault_gives_one_line(crooked_text: str, tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in crooked_text
    done = faults(crooked_text.replace(old, new, 1), tmp_path)
    assert any(t.startswith(line) for t in done), done


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[sweep]\nband_hz = [60, 19000]", "[sweep]\nband_hz = [0.04, 20]", "sweep.band_hz: [0.04, 20] ends at 20 Hz"),
        ("ceiling_dbfs", "loudest_db_spl = 1.1\nceiling_dbfs", "limits.loudest_db_spl: 1.1 dB SPL is below 40"),
        ("channel = 5\n", "channel = 5\npower_w = 20000\n", "driver[1].power_w: 20000 W is beyond any driver"),
        ("channel = 5\n", "channel = 5\nexcursion_mm = 0.003\narea_cm2 = 9\n", "driver[1].excursion_mm: 0.003 mm"),
        ("channel = 5\n", "channel = 5\nexcursion_mm = 3\narea_cm2 = 0.009\n", "driver[1].area_cm2: 0.009 cm^2"),
        (
            '[stage]\ndriver = "lab"',
            '[stage]\ndriver = "lab"\nlimits_deg = [-3.14, 3.14]',
            "stage.limits_deg: [-3.14, 3.14]",
        ),
        (
            "channel = 5\n",
            "channel = 5\nlevel_dbfs = true\n",
            "driver[1].level_dbfs: True is not valid: true and false",
        ),
    ],
)
def test_a_value_in_another_unit_is_asked_about(
    crooked_text: str, tmp_path: Path, old: str, new: str, line: str
) -> None:
    text = re.sub(r"(?m)^(loudest_db_spl|power_w|limits_deg|band_hz = \[30).*\n", "", crooked_text)
    assert old in text
    outcome = faults(text.replace(old, new, 1), tmp_path)
    assert any(t.startswith(line) for t in outcome), outcome


def test_encodings_that_editors_write(crooked_text: str, tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    for encoding in ("utf-8-sig", "utf-16"):
        file.write_bytes(crooked_text.encode(encoding))
        assert read(file).name
    for raw, reason in (
        (crooked_text.encode("utf-16-le"), "holds zero bytes; save it as UTF-8"),
        (b"schema = 1\nname = 'd\xfcn'\n", "line 2 is not in UTF-8"),
    ):
        file.write_bytes(raw)
        with pytest.raises(BadInput, match=reason):
            read(file)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("x = 21,5", "x = 21,5; decimals are written with a point"),
        ("x = 21 C", "values have no unit"),
        ("x = \u201cdesk\u201d", "quotes must be plain"),
        ("[[driver]]\n[driver]", "begins with double brackets"),
    ],
)
def test_the_usual_slips_of_toml_are_named(line: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(f"schema = 1\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=hint):
        read(tmp_path / "r.toml")


def test_all_faults_are_reported_at_once(crooked_text: str, tmp_path: Path) -> None:
    text = crooked_text.replace("ceiling_dbfs", "cieling_dbfs").replace("channel = 3\nat", "channel = 5\nat")
    text = text.replace("at = [0.01, 0.08, 0.0]\n", "").replace("seed = 5", 'head = "no.sofa"')
    done = faults(text, tmp_path)
    keys = {re.split(r":", t)[0] for t in done}
    assert {"limits.cieling_dbfs", "driver[3].channel", "driver[2].at", "lab.head"} <= keys


def test_missing_file_lists_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("")
    with pytest.raises(BadInput, match=r"desk1.toml: no such rig file. Found there: desk.toml"):
        read(tmp_path / "desk1.toml")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("schema = 1\nname = \n")
    with pytest.raises(BadInput, match=r"not valid TOML: .*line 2"):
        read(tmp_path / "r.toml")


def test_ready_made_rigs_are_right(root: Path) -> None:
    found = sorted((root / "rigs").glob("*.toml"))
    assert found
    for path in found:
        assert read(path).name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('[stage]\ndriver = "lab"', '[stage]\ndriver = "lab"\nlimits_deg = ["a", 2]', "stage.limits_deg"),
        ("distance_m = 1.4", "distance_m = 0.1", "the middle of the head is .* m from driver"),
        ("distance_m = 1.7", "distance_m = 0.06", "the microphone would meet the driver"),
        ("step_deg = 15.0", "step_deg = 1e-6", "polar.step_deg"),
        ("at = [0.03, -0.07, 0.0]", "at = [0.03, -70.0, 0.0]", r"driver\[3\].at"),
        ("sensitivity_mv_per_pa = 11.0", "sensitivity_mv_per_pa = 1e300", "sensitivity_mv_per_pa"),
        ("ceiling_dbfs = -5.0", "ceiling_dbfs = -1e6", "limits.ceiling_dbfs"),
    ],
)
def test_numbers_out_of_range_are_faults(crooked_text: str, tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in crooked_text
    with pytest.raises(BadInput, match=message):
        parse(crooked_text.replace(old, new, 1), folder=tmp_path)


@pytest.mark.parametrize(
    ("table", "key", "default", "change", "line"),
    [
        (Lab, "latency_samples", 10, ("seed = 5", "clock_ppm = 20"), "lab.latency_samples: 10 is too few"),
        (
            Lab,
            "body_diameter_m",
            0.16,
            ("seed = 5", "body = { driver_diameter_m = 0.155 }"),
            "body_diameter_m = 0.16 m",
        ),
        (
            RoomTable,
            "absorption",
            (0.1, 0.2),
            ("seed = 5", "room = { size_m = [5, 4, 3], device_m = [2, 2, 1] }"),
            "2 val",
        ),
        (LimitsTable, "ceiling_dbfs", -8.0, ("ceiling_dbfs = -5.0", ""), "is above limits.ceiling_dbfs = -8.0"),
        (EarsTable, "distance_m", 0.11, ("distance_m = 1.4", ""), "the middle of the head is 0.0"),
        (Polar, "distance_m", 0.06, ("distance_m = 1.7", ""), "polar.distance_m: 0.06 m is within"),
    ],
)
def test_faults_between_keys_take_defaults_from_the_schema(
    crooked_text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    table: type[Table],
    key: str,
    default: object,
    change: tuple[str, str],
    line: str,
) -> None:
    assert change[0] in crooked_text
    text = crooked_text.replace(*change, 1)
    parse(text, folder=tmp_path)
    monkeypatch.setattr(description, "_alone", {})  # what was checked with the other default
    monkeypatch.setattr(table.model_fields[key], "default", default)
    assert any(line in done for done in faults(text, tmp_path))


def test_a_number_that_is_none_and_a_name_that_fills_a_page_are_told_in_a_line(
    crooked_text: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"reference.angle_deg"):
        parse(
            crooked_text + "\n[reference]\nangle_deg = inf\nleft = { channel = 5 }\nright = { channel = 6 }\n",
            folder=tmp_path,
        )
    with pytest.raises(BadInput) as fault:
        parse(crooked_text.replace('name = "ear_left"', f'name = "{"x" * 5000}"'), folder=tmp_path)
    assert max(map(len, str(fault.value).splitlines())) <= 610


def test_a_text_that_was_checked_before_has_the_folder_of_now(crooked: Description, tmp_path: Path) -> None:
    """And one that names a file is checked where it is now, each time."""
    first, second = (parse(crooked.text, tmp_path / name, kept=tmp_path / f"{name}-copies") for name in "ab")
    assert (first.folder, first.kept) == (tmp_path / "a", tmp_path / "a-copies")
    assert (second.folder, second.kept) == (tmp_path / "b", tmp_path / "b-copies")
    assert first.model_copy(update={"folder": second.folder, "kept": second.kept}) == second
    named = crooked.text.replace("sensitivity_mv_per_pa = 20.0", 'calibration = "mine.txt"')
    (tmp_path / "mine.txt").write_text("20 0\n20000 0\n")
    assert parse(named, tmp_path).named_files == ("mine.txt",)
    (tmp_path / "mine.txt").unlink()
    assert faults(named, tmp_path)[0].startswith("mic[2].calibration: no file 'mine.txt'")
