"""Acoustics common to design and simulation: rigid spheres, heads, spherical harmonics, walls; Fourier transforms."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.acoustics import fft as fft
    from sweetspot.rigs.acoustics import half_cosine as half_cosine
    from sweetspot.rigs.acoustics.blocks import SignalBlocks as SignalBlocks
    from sweetspot.rigs.acoustics.encoding import FAR_M as FAR_M
    from sweetspot.rigs.acoustics.encoding import Encoding as Encoding
    from sweetspot.rigs.acoustics.encoding import Single as Single
    from sweetspot.rigs.acoustics.excursion import Excursion as Excursion
    from sweetspot.rigs.acoustics.excursion import per_pascal as per_pascal
    from sweetspot.rigs.acoustics.head import CorrectedHead as CorrectedHead
    from sweetspot.rigs.acoustics.head import EncodedHead as EncodedHead
    from sweetspot.rigs.acoustics.head import Head as Head
    from sweetspot.rigs.acoustics.head import SphereHead as SphereHead
    from sweetspot.rigs.acoustics.head import load_head as load_head
    from sweetspot.rigs.acoustics.sofa_places import cartesian as cartesian
    from sweetspot.rigs.acoustics.sofa_places import delay_samples as delay_samples
    from sweetspot.rigs.acoustics.sphere import field as field
    from sweetspot.rigs.acoustics.sphere import order as order
    from sweetspot.rigs.acoustics.sphere import series as series
    from sweetspot.rigs.acoustics.sphere import summed as summed
    from sweetspot.rigs.acoustics.walls import SOFTEST as SOFTEST
    from sweetspot.rigs.acoustics.walls import WALLS as WALLS
    from sweetspot.rigs.acoustics.walls import eyring as eyring
    from sweetspot.rigs.acoustics.walls import eyring_rate as eyring_rate
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
