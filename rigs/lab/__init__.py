"""The virtual lab: physics that stands in for a rig, in process and as a sound card."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab import soundcard as soundcard
    from sweetspot.rigs.lab.interface import LabInterface as LabInterface
    from sweetspot.rigs.lab.interface import LabStage as LabStage
    from sweetspot.rigs.lab.world import World as World
    from sweetspot.rigs.lab.world import made_head as made_head
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
