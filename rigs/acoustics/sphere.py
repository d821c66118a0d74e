"""The rigid sphere: the field of a point source on its surface, and by reciprocity the pressure at an ear on it.

For a point source on a rigid sphere of radius ``a`` (time factor ``exp(+j w t)``) the pressure at distance ``r`` and
angle ``gamma`` from the source is, divided by that of the same source in free field at 1 m without its phase, ::

    B(gamma, r, k) = -1 / (k a^2) * sum_n (2 n + 1) P_n(cos gamma) h_n(k r) / h_n'(k a)

with the spherical Hankel functions of the second kind (E. G. Williams, Fourier Acoustics, 1999, eq. 6.106; R. O. Duda
and W. L. Martens, J. Acoust. Soc. Am. 104, 3048, 1998, for the reciprocal case of an ear on a head). The quotients are
built from ratios of neighbouring orders, which neither overflow nor cancel.
"""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.units import Complex, Float


def order(ka: float, nearness: float = 0.5) -> int:
    """Highest order summed, so that the terms beyond it lie below 1e-6 of the sum.

    Parameters
    ----------
    ka
        Wavenumber times radius.
    nearness
        Radius over distance, below 1: close to the surface a series that dies away like ``nearness^n`` needs more.
    """
    near = np.log(1e-6) / np.log(min(nearness, 0.97))
    return int(np.ceil(ka + max(7.0 * np.cbrt(ka) + 9.0, near)))


def cap_weights(half_angle: float, top: int) -> Float:
    """Radiation of a rigid cap that moves along its axis into each order, re a point source of its volume flow.

    The surface velocity is ``u cos(theta)`` inside ``half_angle`` and 0 outside (L. L. Beranek and T. Mellow,
    Acoustics: Sound Fields and Transducers, 2012, sec. 12.6); its Legendre moments have a closed form.

    Parameters
    ----------
    half_angle
        Of the cap seen from the middle of the sphere, rad, at most pi / 2; 0 is a point.
    top
        Highest order.

    Returns
    -------
    ``(top + 1,)``, 1 for order 0.
    """
    if half_angle <= 0.0:
        return np.ones(top + 1)
    x = np.cos(half_angle)
    p = legendre(np.array(x), top + 2)
    n = np.arange(1, top + 2)
    inside = np.concatenate([[1.0 - x], (p[:-2] - p[2:]) / (2 * n + 1)])  # of P_n from x to 1, n = 0 .. top + 1
    moments = np.empty(top + 1)
    moments[0] = inside[1]
    n = n[:top]
    moments[1:] = ((n + 1) * inside[2:] + n * inside[:-2]) / (2 * n + 1)
    return np.asarray(moments / inside[1])


def coefficients(k: Float, a: float, r: float, top: int) -> Complex:
    """The factors of ``P_n(cos gamma)`` in the series, ``(n, frequency)`` for ``n = 0..top``.

    Parameters
    ----------
    k
        Wavenumbers, rad/m, all above zero.
    a, r
        Radius of the sphere and distance from its centre, m, ``r >= a``.
    top
        Highest order.

    Returns
    -------
    Complex array ``(top + 1, len(k))``, in 1/m (unity for a free-field source at 1 m).
    """
    ka, kr = k * a, k * r
    ratio = (a / r) * np.exp(-1j * (kr - ka))  # h_0(kr) / h_0(ka)
    near, far = 1.0 / ka + 1j, 1.0 / kr + 1j  # h_1 / h_0
    out = np.empty((top + 1, len(k)), dtype=np.complex128)
    for n in range(top + 1):
        out[n] = -(2 * n + 1) / (k * a * a) * ratio / (n / ka - near)
        ratio = ratio * far / near
        near, far = (2 * n + 3) / ka - 1.0 / near, (2 * n + 3) / kr - 1.0 / far
    return out


def legendre(x: Float, top: int) -> Float:
    """Legendre polynomials ``P_0 .. P_top`` at ``x``: ``(top + 1, *x.shape)``."""
    out = np.empty((top + 1, *x.shape))
    out[0] = 1.0
    if top > 0:
        out[1] = x
    for n in range(1, top):
        out[n + 1] = ((2 * n + 1) * x * out[n] - n * out[n - 1]) / (n + 1)
    return out


def field(cos_gamma: Float, k: Float, a: float, r: float, cap: float = 0.0) -> Complex:
    """Response ``(*cos_gamma.shape, frequency)`` at angles that are the same for all frequencies, in 1/m.

    ``cap`` is the half-angle of the source, rad; 0 is a point.
    """
    return summed(cos_gamma, series(k, a, r, cap))


def series(k: Float, a: float, r: float, cap: float = 0.0) -> Complex:
    """The series of :func:`field` at a distance, ``(n, frequency)``: factors of the Legendre polynomials."""
    top = order(float(k[-1]) * a, a / r)
    weights = coefficients(k, a, r, top)
    return np.asarray(weights * cap_weights(cap, top)[:, None] if cap > 0.0 else weights)


def summed(cos_gamma: Float, weights: Complex) -> Complex:
    """A series ``(n, frequency)`` at angles: ``(*cos_gamma.shape, frequency)``."""
    polynomials = legendre(np.asarray(cos_gamma, dtype=float), len(weights) - 1)
    return np.asarray(np.moveaxis(polynomials, 0, -1) @ weights)


def field_at(cos_gamma: Float, k: Float, a: float, r: float) -> Complex:
    """Response at angles of each frequency's own: ``cos_gamma (..., frequency)``, the same shape, in 1/m."""
    top = order(float(k[-1]) * a, a / r)
    weights = coefficients(k, a, r, top)
    x = np.ascontiguousarray(cos_gamma)
    previous, current, term = np.ones_like(x), x.copy(), np.empty_like(x)
    total = weights[0] + weights[1] * x
    parts = [(np.ascontiguousarray(w), t.copy()) for w, t in ((weights.real, total.real), (weights.imag, total.imag))]
    for n in range(1, top):
        np.multiply(x, current, out=term)
        term *= (2 * n + 1) / (n + 1)
        previous *= -n / (n + 1)
        previous += term
        previous, current = current, previous
        for weight, part in parts:
            np.multiply(weight[n + 1], current, out=term)
            part += term
    total.real, total.imag = parts[0][1], parts[1][1]
    return np.asarray(total)
