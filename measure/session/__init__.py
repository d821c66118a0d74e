"""session.h5: raw captures first, flushed one by one, with responses beside them; and the file's schema."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.session.layout import KINDS as KINDS
    from sweetspot.measure.session.layout import SCHEMA as SCHEMA
    from sweetspot.measure.session.layout import VERIFICATION as VERIFICATION
    from sweetspot.measure.session.pruned import RawKept as RawKept
    from sweetspot.measure.session.pruned import figures_alone as figures_alone
    from sweetspot.measure.session.pruned import without_raw as without_raw
    from sweetspot.measure.session.schema import LOUDEST_PA as LOUDEST_PA
    from sweetspot.measure.session.session import FILES as FILES
    from sweetspot.measure.session.session import Session as Session
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
