"""The report: one self-contained page on a run, with its pictures and tables."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.report import svg as svg
    from sweetspot.calibrate.report.bank_plots import bank_map as bank_map
    from sweetspot.calibrate.report.beam_page import BEAM_STEPS as BEAM_STEPS
    from sweetspot.calibrate.report.beam_page import write_beam as write_beam
    from sweetspot.calibrate.report.page import comparison as comparison
    from sweetspot.calibrate.report.templates import typeset as typeset
    from sweetspot.calibrate.report.writing import STEPS as STEPS
    from sweetspot.calibrate.report.writing import write as write
    from sweetspot.calibrate.report.writing import write_noting_changes as write_noting_changes
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
