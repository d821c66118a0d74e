"""Linear systems of all frequencies or programs at once, in compiled loops."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.filters.systems.elimination import Pencil as Pencil
    from sweetspot.calibrate.filters.systems.elimination import on_diagonal as on_diagonal
    from sweetspot.calibrate.filters.systems.elimination import packed as packed
    from sweetspot.calibrate.filters.systems.gradients import descended as descended
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
