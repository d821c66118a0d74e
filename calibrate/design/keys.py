"""The reference of design.toml, bank.toml and limits.toml, made from what checks them."""

from __future__ import annotations

from sweetspot.calibrate.design.bank_design import BankDesign
from sweetspot.calibrate.design.limits import Limits
from sweetspot.calibrate.design.unit_design import Design
from sweetspot.rigs.rig_file import KeyTable, Wording, key_tables, keys_page

BANK_EXAMPLES = {"places": "[[2.0, 0.0], [2.0, 0.4], [1.5, -0.3, 10.0]]", "home": "[2.0, 0.0]", "second": "[2.0, -0.5]"}
BANK_UNITS = {"places": "m, m, degrees", "home": "m", "second": "m"}
BANK_TEXTS = {
    "x_m": "From, to: ahead of the device.",
    "y_m": "From, to: to the device's left.",
    "step_m": "Steps ahead and to the left.",
    "yaw_deg": "How heads are turned at each place, re facing the device.",
    "places": "Single places in the grid's stead.",
    "home": "Place that is played while no listener is known; by default the session's nominal one.",
    "second": "Place of a second listener, who stays: the filters of every place serve both.",
    "spread_m": "How far from its place a head may be.",
    "spread_deg": "How far it may be turned there.",
    "beam_step_deg": "Bearings of places are rounded to this for the centre's beam.",
    "effort_db": "What the sides may spend over the limit of the unit's design; nothing is added in a live room.",
}
EXAMPLES = {"beam.shape_db": "[[60.0, -10.0], [180.0, -15.0]]"}
UNITS = {"filter.taps": "samples", "filter.delay": "samples", "filter.gate_cycles": "periods"}
TEXTS = {
    "image.prefer": "What is given up for width: a live room's depth, and beyond balanced loudness.",
    "crosstalk.form": "What is held while the far ear is cancelled: see above.",
    "crosstalk.cost": "What effort counts: see above.",
    "crosstalk.target_db": "Wanted cancellation over frequency.",
    "crosstalk.effort_db": "Largest effort of left and right, also over frequency: less is louder, more is wider.",
    "crosstalk.effort_re": "What `effort_db` counts from.",
    "crosstalk.tolerance_db": "What the unit may change by after it was measured, one standard deviation; more makes "
    "filters gentler.",
    "beam.target_db": "Wanted power on axis over that at the nulls, over frequency.",
    "beam.effort_db": "Most that the beam may spend in any band.",
    "beam.nulls_deg": "Directions that it avoids; none: all beyond the lobe alike.",
    "beam.null_width_deg": "To either side of each null.",
    "beam.lobe_deg": "Half of the width over which the beam is kept even.",
    "beam.level_db": "Level of the centre: as loud as the phantom centre that it replaces, or a fixed one.",
    "beam.angle_deg": "Where it points.",
    "beam.shape_db": "In place of nulls: level over the angle from its direction.",
    "beam.form": "What the design starts from: the ring as measured, harmonics, or the drivers in front alone.",
    "stereo.head": "Head that the virtual loudspeakers' far ear is fitted to.",
    "stereo.angle_deg": "Of each virtual loudspeaker from the listener's front.",
    "stereo.distance_m": "Of the virtual loudspeakers.",
    "stereo.head_diameter_m": "Of the spherical head that hears them.",
    "stereo.ears_deg": "From its front to either ear.",
    "filter.taps": "Length of each filter.",
    "filter.delay": "Where the filters' main peak lies: they act this much before it.",
    "filter.gate_ms": "Length of the window over each measured response.",
    "filter.gate_cycles": "At high frequencies the window holds so many periods.",
    "filter.gate_to": "Whether the window ends before the first reflection.",
    "filter.match_ears": "Whether a difference in gain between the ears is taken out.",
    "filter.band_hz": "Where filters follow the design; beyond it they are harmless.",
    "filter.staging": "What the gain is made for: programme behind the guard, or full-scale sines.",
    "zone.x_m": "From, to: ahead of the device.",
    "zone.y_m": "From, to: to the device's left.",
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
    top = key_tables(Limits, Wording({}, {}, {}))[0]
    return KeyTable("limits.toml", top.text, top.keys)
