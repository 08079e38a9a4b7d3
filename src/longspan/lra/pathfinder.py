"""Pathfinder: two long dashed paths among short ones, and two discs; are they at the ends of the same path?

Source: Linsley and others: Learning long-range spatial dependencies with horizontal gated recurrent units, 2018. A path
is a chain of strokes. Each stroke takes the pixels around it, which no later one may enter; the next begins where the
last one points, turned a little.

Pixels are (y, x). Pictures have a rim of zeros while they are drawn, so that no stroke has to be cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import atan2, ceil, cos, hypot, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from longspan.lra.pathfinder_rules import PathfinderRules
from longspan.lra.strokes import disc, disc_offsets, reach, stroke

_OVERLAP = 1.8  # of two strokes' places, each at most 1: above it they are on the same pixel
_FREE = 0.3  # a pixel that is taken to this share counts as free for the end of a distractor
_FULL = 0.99
_STROKE_TRIALS, _DISTRACTOR_TRIALS = 3, 5
_LEAST_FREE = 0.01
_PICTURE_TRIALS = 20_000

Pixel = tuple[int, int]
Canvas = NDArray[np.float32]


def draw_picture(rng: np.random.Generator, rules: PathfinderRules) -> tuple[NDArray[np.uint8], int]:
    """A picture (size, size), and 1 where both discs are on the same path, else 0.

    Raises:
        ValueError: no two paths found room.
    """
    label = int(rng.integers(2))
    for _ in range(_PICTURE_TRIALS):
        drawing = _Drawing(rng, rules)
        tips = drawing.draw_two_paths()
        if tips is not None:
            break
    else:
        raise ValueError(f"{_PICTURE_TRIALS:,} times no room was found for two paths under {rules}")
    for _ in range(rules.distractors):
        drawing.draw_distractor()
    first = int(rng.integers(2))
    second = first if label else 1 - first
    return drawing.finish([tips[first][0], tips[second][1]]), label


@dataclass
class _Path:
    """A path that grows: its last pivot and direction, and the place of its last stroke, which is not taken yet."""

    pivot: Pixel
    angle: float
    place: tuple[Pixel, NDArray[np.float32]]


class _Drawing:
    """One picture while it is drawn."""

    def __init__(self, rng: np.random.Generator, rules: PathfinderRules) -> None:
        self.rng, self.rules = rng, rules
        self.rim = rim = reach(rules.length, rules.thickness, rules.margin) + ceil(rules.radius)
        side = rules.size + 2 * rim
        self.image = np.zeros((side, side), np.float32)
        self.taken = np.zeros((side, side), np.float32)
        inside = slice(rim + rules.padding, rim + rules.size - rules.padding)
        border = np.ones((rules.size, rules.size), np.float32)
        self.taken[rim : rim + rules.size, rim : rim + rules.size] = border
        self.taken[inside, inside] = 0

    def draw_two_paths(self) -> list[tuple[Pixel, Pixel]] | None:
        """First and last end of both paths, which grow in turn; None where one of them finds no room."""
        rules = self.rules
        first = self._draw_angle()
        tail = self._free_pixel(first, 2 * rules.seed_distance)
        if tail is None:
            return None
        towards = radians(int(self.rng.integers(360)))
        other = (
            round(tail[0] + rules.seed_distance * sin(towards)),
            round(tail[1] + rules.seed_distance * cos(towards)),
        )
        begun = [self._begin(tail, first, rules.brightness), self._begin(other, self._draw_angle(), rules.brightness)]
        paths = [path for path in begun if path is not None]
        if len(paths) < 2:
            return None
        ends = [tail, other]
        for _ in range(rules.strokes - 1):
            for i, path in enumerate(paths):
                end = self._extend(path, rules.brightness)
                if end is None:
                    return None
                ends[i] = end
        # as published, the last stroke of the first path takes no place
        self._take(*paths[1].place)
        return [(tail, ends[0]), (other, ends[1])]

    def draw_distractor(self) -> None:
        """One short path; left out where it finds no room."""
        free = self.rules.size**2 * _LEAST_FREE
        for _ in range(_DISTRACTOR_TRIALS):
            if np.count_nonzero(self._inner(self.taken) <= _FREE) < free:
                return
            before = self.image.copy(), self.taken.copy()
            if self._draw_short_path():
                return
            self.image, self.taken = before

    def finish(self, marks: list[Pixel]) -> NDArray[np.uint8]:
        """The picture with a disc at each of ``marks``, the brightest pixel being 255."""
        for mark in marks:
            self._paint(self.image, mark, disc(self.rules.radius))
        image = self._inner(self.image)
        return np.round(image * (255 / image.max())).astype(np.uint8)

    def _draw_short_path(self) -> bool:
        brightness = self.rules.distractor_brightness
        angle = self._draw_angle()
        tail = self._free_pixel(angle, 1)
        path = None if tail is None else self._begin(tail, angle, brightness)
        if path is None:
            return False
        for _ in range(self.rules.distractor_strokes - 1):
            if self._extend(path, brightness) is None:
                return False
        self._take(*path.place)
        return True

    def _begin(self, tail: Pixel, angle: float, brightness: float) -> _Path | None:
        rules = self.rules
        head = _move(tail, angle, rules.length)
        pivot = _move(head, angle + pi, rules.length + rules.margin)
        if not (self._is_inside(head) and self._is_inside(pivot)):
            return None
        line, place = stroke(angle, rules.length, rules.thickness, rules.margin)
        self._paint(self.image, tail, brightness * line)
        return _Path(pivot, angle, (tail, place))

    def _extend(self, path: _Path, brightness: float) -> Pixel | None:
        """Draw the next stroke of ``path``; its end, or None where there is no room."""
        rules = self.rules
        pivot = _move(path.pivot, path.angle, rules.length + 2 * rules.margin)
        offsets, angles = _ends(rules.length + rules.margin)
        ends = offsets + np.array(pivot)
        inside = ((ends >= 0) & (ends < rules.size)).all(1)
        if not inside.any():
            return None
        ends, angles = ends[inside], angles[inside]
        around = ends[:, None] + disc_offsets(rules.margin) + self.rim
        free = 1 - self.taken[around[..., 0], around[..., 1]].max(1)
        turns = np.abs(angles - path.angle) % (2 * pi)
        turns = np.minimum(turns, 2 * pi - turns)
        weights = free * np.cos(np.minimum(turns * rules.continuity, pi / 2)) ** 2
        total = weights.cumsum()
        if total[-1] < 1e-4:
            return None
        for _ in range(_STROKE_TRIALS):
            chosen = int(np.searchsorted(total, self.rng.random() * total[-1], "right"))
            chosen = min(chosen, len(ends) - 1)
            end, angle = (int(ends[chosen, 0]), int(ends[chosen, 1])), float(angles[chosen])
            # drawn backwards, from its end, so that the gap is at the pivot
            line, place = stroke(_flip(angle), rules.length, rules.thickness, rules.margin)
            if (self._at(self.taken, end, len(place) // 2) + place).max() < _OVERLAP:
                self._paint(self.image, end, brightness * line)
                self._take(*path.place)
                path.pivot, path.angle, path.place = pivot, angle, (end, place)
                return end
        return None

    def _free_pixel(self, angle: float, border: int) -> Pixel | None:
        """A pixel, uniform over those from which a stroke meets nothing taken and no pixel within ``border``."""
        rules = self.rules
        blocked = self._inner(self.taken).copy()
        for edge in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
            blocked[edge] = 1
        place = stroke(angle, rules.length, rules.thickness, rules.margin)[1]
        size = len(place) // 2
        padded = np.zeros((rules.size + 2 * size,) * 2, np.float32)
        padded[size:-size, size:-size] = blocked
        for y, x in np.argwhere(place >= _FULL):
            np.maximum(blocked, padded[y : y + rules.size, x : x + rules.size], out=blocked)
        free = np.argwhere(blocked <= _FREE)
        if not len(free):
            return None
        y, x = free[int(self.rng.integers(len(free)))]
        return int(y), int(x)

    def _draw_angle(self) -> float:
        return radians(int(self.rng.integers(-180, 180)))

    def _is_inside(self, pixel: Pixel) -> bool:
        return 0 <= pixel[0] < self.rules.size and 0 <= pixel[1] < self.rules.size

    def _inner(self, canvas: Canvas) -> Canvas:
        return canvas[self.rim : -self.rim, self.rim : -self.rim]

    def _at(self, canvas: Canvas, pixel: Pixel, size: int) -> Canvas:
        y, x = pixel[0] + self.rim, pixel[1] + self.rim
        return canvas[y - size : y + size + 1, x - size : x + size + 1]

    def _paint(self, canvas: Canvas, pixel: Pixel, patch: NDArray[np.float32]) -> None:
        part = self._at(canvas, pixel, len(patch) // 2)
        np.maximum(part, patch, out=part)

    def _take(self, pixel: Pixel, place: NDArray[np.float32]) -> None:
        self._paint(self.taken, pixel, place)


def _move(pixel: Pixel, angle: float, distance: float) -> Pixel:
    return ceil(pixel[0] + distance * sin(angle)), ceil(pixel[1] + distance * cos(angle))


def _flip(angle: float) -> float:
    return angle + pi if angle < 0 else angle - pi


@cache
def _ends(radius: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(K, 2) the pixels on a circle around a pixel, relative to it, and (K,) their directions."""
    steps = ceil(2 * pi * radius)
    found = sorted({(int(radius * sin(i / radius) // 1), int(radius * cos(i / radius) // 1)) for i in range(steps)})
    return np.array(found), np.array([atan2(y, x) for y, x in found if hypot(y, x)])
