"""Banks: filters for every place of a listener from one measured session, fitted in one batch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.bank import verified as verified
    from sweetspot.calibrate.bank.carried import CarriedPlaces as CarriedPlaces
    from sweetspot.calibrate.bank.carried import Cloud as Cloud
    from sweetspot.calibrate.bank.figures import BankFigures as BankFigures
    from sweetspot.calibrate.bank.figures import text as text
    from sweetspot.calibrate.bank.figures import to_dict as to_dict
    from sweetspot.calibrate.bank.fitting import FittedBank as FittedBank
    from sweetspot.calibrate.bank.fitting import fit_bank as fit_bank
    from sweetspot.calibrate.bank.verified import SideFigures as SideFigures
    from sweetspot.calibrate.bank.verified import VerifiedBank as VerifiedBank
    from sweetspot.calibrate.bank.verified import VerifiedPlace as VerifiedPlace
    from sweetspot.calibrate.bank.verified import chosen as chosen
    from sweetspot.calibrate.bank.verified import figures_of as figures_of
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
