"""Goals and limits of a unit in files: design.toml, bank.toml, limits.toml; and their reference."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.design import keys as keys
    from sweetspot.calibrate.design.bank_design import BankDesign as BankDesign
    from sweetspot.calibrate.design.bank_design import parse_bank as parse_bank
    from sweetspot.calibrate.design.bank_design import read_bank as read_bank
    from sweetspot.calibrate.design.limits import Limits as Limits
    from sweetspot.calibrate.design.limits import limits_text as limits_text
    from sweetspot.calibrate.design.limits import read_limits as read_limits
    from sweetspot.calibrate.design.unit_design import BeamDesign as BeamDesign
    from sweetspot.calibrate.design.unit_design import CrosstalkDesign as CrosstalkDesign
    from sweetspot.calibrate.design.unit_design import Design as Design
    from sweetspot.calibrate.design.unit_design import FilterDesign as FilterDesign
    from sweetspot.calibrate.design.unit_design import ImageDesign as ImageDesign
    from sweetspot.calibrate.design.unit_design import StereoDesign as StereoDesign
    from sweetspot.calibrate.design.unit_design import level_at as level_at
    from sweetspot.calibrate.design.unit_design import parse as parse
    from sweetspot.calibrate.design.unit_design import read as read
    from sweetspot.calibrate.design.unit_design import target_power as target_power
    from sweetspot.calibrate.design.unit_design import towards_width as towards_width
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
