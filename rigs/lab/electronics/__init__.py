"""Electronics of the virtual lab: converters, clocks, crosstalk, calibrator, and a device with a processor."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab.electronics import calibrator as calibrator
    from sweetspot.rigs.lab.electronics.dsp_device import DspDevice as DspDevice
    from sweetspot.rigs.lab.electronics.electrical import SignalLine as SignalLine
    from sweetspot.rigs.lab.electronics.electrical import digital as digital
    from sweetspot.rigs.lab.electronics.electrical import latency_of as latency_of
    from sweetspot.rigs.lab.electronics.latency import publish as publish
    from sweetspot.rigs.lab.electronics.signal_chain import Inputs as Inputs
    from sweetspot.rigs.lab.electronics.signal_chain import Outputs as Outputs
    from sweetspot.rigs.lab.electronics.wear import Wear as Wear
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
