"""Pictures of the virtual lab, and their data."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab.pictures import show as show
    from sweetspot.rigs.lab.pictures.lab_overview import data as data
    from sweetspot.rigs.lab.pictures.lab_overview import overview as overview
    from sweetspot.rigs.lab.pictures.lab_overview import text as text
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
