"""sweetspot: measurement and calibration of loudspeakers with several drivers, per unit.

The public functions are those of :mod:`sweetspot.api`; they are imported when they are first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from sweetspot.api import SweetspotError as SweetspotError
    from sweetspot.api import calibrate_run as calibrate_run
    from sweetspot.api import design as design
    from sweetspot.api import export as export
    from sweetspot.api import filters as filters
    from sweetspot.api import fit as fit
    from sweetspot.api import measure_unit as measure_unit
    from sweetspot.api import metrics as metrics
    from sweetspot.api import open_rig as open_rig
    from sweetspot.api import open_session as open_session
    from sweetspot.api import process as process
    from sweetspot.api import report as report
    from sweetspot.api import responses as responses
    from sweetspot.api import verify as verify
else:
    from sweetspot.rigs.faces import lazy

    _listed = lazy(__name__)

    def __getattr__(name):
        if name != "__version__":
            return _listed(name)
        from importlib.metadata import version  # slow to import

        return version("sweetspot")
