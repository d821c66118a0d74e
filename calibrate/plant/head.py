"""Model of a rig's dummy head, from which design and ear model compute virtual loudspeakers."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.acoustics import CorrectedHead, Head, SphereHead, load_head
from sweetspot.rigs.rig_file import Description


def head_of(rig: Description) -> tuple[Head, str]:
    """The head and its name: ``ears.head`` of the rig file names it; without that it is the lab's head."""
    lab = rig.lab
    sphere = SphereHead(lab.head_diameter_m, float(np.radians(lab.ears_deg)))
    named = (rig.ears.head if rig.ears else None) or lab.head
    if named == "sphere":
        return sphere, f"rigid sphere of {1000 * lab.head_diameter_m:g} mm"
    measured = load_head(rig.path(named))
    head = CorrectedHead(measured, sphere, measured.measured) if lab.range_correction else measured
    return head, rig.path(named).name
