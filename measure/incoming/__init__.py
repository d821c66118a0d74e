"""Import of existing measurements: SOFA files, folders of responses, recorded sweeps, as sets of a session."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.incoming.build import imported as imported
    from sweetspot.measure.incoming.files import Wish as Wish
    from sweetspot.measure.incoming.files import sets as sets
    from sweetspot.measure.incoming.sofa_sets import HeadWish as HeadWish
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
