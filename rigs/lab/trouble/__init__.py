"""Faults of the virtual lab: scheduled faults, noises, and failures of the computer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab.trouble.host_faults import Disk as Disk
    from sweetspot.rigs.lab.trouble.host_faults import crash as crash
    from sweetspot.rigs.lab.trouble.schedule import Schedule as Schedule
    from sweetspot.rigs.lab.trouble.schedule import Span as Span
    from sweetspot.rigs.lab.trouble.schedule import counts as counts
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
