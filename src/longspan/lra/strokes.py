"""What Pathfinder's pictures are made of: anti-aliased strokes and discs, as small patches around a pixel.

Patches are (2R + 1, 2R + 1), y before x, and centred on the pixel at which they are drawn. Angles are in radians, with
y downwards as rows go.
"""

from __future__ import annotations

from functools import cache
from math import ceil, cos, sin

import numpy as np
from numpy.typing import NDArray

Patch = NDArray[np.float32]

_SAMPLES = 8
"""Points of a pixel's side at which a shape is looked at."""


def reach(length: int, thickness: float, margin: int) -> int:
    """R of the patches of :func:`stroke`."""
    return length + ceil(thickness) + margin


@cache
def stroke(angle: float, length: int, thickness: float, margin: int) -> tuple[Patch, Patch]:
    """A stroke that begins in the centre, and the place that it takes: the stroke with ``margin`` pixels around it.

    Both are shares of pixels, scaled so that their largest is 1.
    """
    size = reach(length, thickness, margin)
    y, x = _points(size)
    along = np.clip(y * sin(angle) + x * cos(angle), 0, length)
    distance = np.hypot(y - along * sin(angle), x - along * cos(angle))
    return _shares(distance <= thickness / 2, size), _shares(distance <= thickness / 2 + margin, size)


@cache
def disc(radius: float) -> Patch:
    """A filled circle; R is the radius, rounded up."""
    size = ceil(radius)
    return _shares(np.hypot(*_points(size)) <= radius, size)


@cache
def disc_offsets(radius: int) -> NDArray[np.int64]:
    """(K, 2) the pixels within ``radius`` of a pixel, relative to it."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = y**2 + x**2 <= radius**2
    return np.stack([y[inside], x[inside]], axis=1)


def _points(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of all points of a patch, relative to the middle of its central pixel."""
    side = np.arange((2 * size + 1) * _SAMPLES)
    place = (side + 0.5) / _SAMPLES - 0.5 - size
    y, x = np.meshgrid(place, place, indexing="ij")
    return y, x


def _shares(inside: NDArray[np.bool_], size: int) -> Patch:
    side = 2 * size + 1
    shares = inside.reshape(side, _SAMPLES, side, _SAMPLES).mean((1, 3))
    return (shares / shares.max()).astype(np.float32)
