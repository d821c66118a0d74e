"""Stages of the virtual lab: simulated controllers of turntables."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab.stage import et250_machine as et250_machine
    from sweetspot.rigs.lab.stage.grbl_machine import GrblMachine as GrblMachine
    from sweetspot.rigs.lab.stage.grbl_machine import GrblSimulator as GrblSimulator
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
