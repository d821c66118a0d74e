"""The reference of design.toml, bank.toml and limits.toml, made from the schemas that check them."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

from sweetspot.calibrate.design.bank_design import BankDesign
from sweetspot.calibrate.design.limits import Limits
from sweetspot.calibrate.design.unit_design import Design
from sweetspot.rigs.rig_file import KeyTable, Wording, key_tables, keys_page

BANK_EXAMPLES = {"places": "[[2.0, 0.0], [2.0, 0.4], [1.5, -0.3, 10.0]]", "home": "[2.0, 0.0]", "second": "[2.0, -0.5]"}
BANK_UNITS = {"places": "m, m, degrees", "home": "m", "second": "m"}
BANK_TEXTS = {
    "x_m": "Range ahead of the device.",
    "y_m": "Range to the device's left.",
    "step_m": "Steps ahead and to the left.",
    "yaw_deg": "Yaw of heads at each place, re facing the device.",
    "places": "Single places instead of the grid.",
    "home": "Place that is played while no listener is known; by default the session's nominal position.",
    "second": "Place of a second listener, who stays: the filters of every place serve both.",
    "spread_m": "Distance of a head from its place.",
    "spread_deg": "Rotation of a head at its place.",
    "beam_step_deg": "Step to which bearings of places are rounded for the centre's beam.",
    "effort_db": "Effort of the sides above the limit of the unit's design; not added in a live room.",
}
EXAMPLES = {"beam.shape_db": "[[60.0, -10.0], [180.0, -15.0]]"}
UNITS = {"filter.taps": "samples", "filter.delay": "samples", "filter.gate_cycles": "periods"}
TEXTS = {
    "image.prefer": 'Trade-off between depth and width in a live room; beyond "balanced" also loudness.',
    "crosstalk.form": "Constraint while the far ear is cancelled: see above.",
    "crosstalk.cost": "Measure of effort: see above.",
    "crosstalk.target_db": "Target cancellation over frequency.",
    "crosstalk.effort_db": "Effort limit of left and right, also over frequency: less is louder, more is wider.",
    "crosstalk.effort_re": "Reference of `effort_db`.",
    "crosstalk.tolerance_db": "Expected change of the unit after measurement, one standard deviation; more makes "
    "filters gentler.",
    "beam.target_db": "Target power on axis re that at the nulls, over frequency.",
    "beam.effort_db": "Effort limit of the beam in any band.",
    "beam.nulls_deg": "Directions of the nulls; if empty, all directions outside the lobe are treated alike.",
    "beam.null_width_deg": "Half-width of each null.",
    "beam.lobe_deg": "Half-width of the even main lobe.",
    "beam.level_db": "Level of the centre: that of the phantom centre that it replaces, or a fixed one.",
    "beam.angle_deg": "Direction of the beam.",
    "beam.shape_db": "Level over the angle from the beam's direction, instead of nulls.",
    "beam.form": "Basis of the design: the measured ring, spherical harmonics, or ratios to the front drivers.",
    "stereo.head": "Head that the virtual loudspeakers' far ear is fitted to.",
    "stereo.angle_deg": "Angle of each virtual loudspeaker from the listener's front.",
    "stereo.distance_m": "Distance of the virtual loudspeakers.",
    "stereo.head_diameter_m": "Diameter of the spherical head.",
    "stereo.ears_deg": "Angle from the front of the spherical head to either ear.",
    "filter.taps": "Length of each filter; the default and its delay are those at 48 kHz, as long in time above.",
    "filter.delay": "Position of the filters' main peak: the length available before it.",
    "filter.gate_ms": "Length of the window over each measured response.",
    "filter.gate_cycles": "Length of the window at high frequencies.",
    "filter.gate_to": "End of the window: before the first reflection, or fixed.",
    "filter.match_ears": "Correction of a gain difference between the ears.",
    "filter.band_hz": "Band in which filters follow the design; outside it they are held or fade out.",
    "filter.staging": "Signal that sets the gain: programme behind the guard, or full-scale sines.",
    "zone.x_m": "Range ahead of the device; if not given, widened to hold the listener.",
    "zone.y_m": "Range to the device's left.",
    "zone.step_m": "Steps ahead and to the left.",
}


def tables() -> list[KeyTable]:
    """Every table of design.toml, and the keys of bank.toml and limits.toml."""
    return [*key_tables(Design, Wording(TEXTS, EXAMPLES, UNITS)), _bank(), _limits()]


def page() -> str:
    """Both as one page."""
    return keys_page("Keys of design.toml, bank.toml and limits.toml", tables())


def _bank() -> KeyTable:
    """The keys of bank.toml, which stand at the top of it."""
    top = key_tables(BankDesign, Wording(BANK_TEXTS, BANK_EXAMPLES, BANK_UNITS))[0]
    return KeyTable("bank.toml", top.text, top.keys)


def _limits() -> KeyTable:
    """The keys of limits.toml, which stand at the top of it."""
    top = key_tables(Limits, Wording(_docstrings(Limits), {}, {}))[0]
    return KeyTable("limits.toml", top.text, top.keys)


def _docstrings(model: type) -> dict[str, str]:
    """What stands below each attribute in a class; the schema's library would read it at every import, for 12 ms."""
    (defined,) = ast.parse(inspect.getsource(model)).body
    found = {}
    for key, text in pairwise(getattr(defined, "body", [])):
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(text, ast.Expr):
            found[key.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found
