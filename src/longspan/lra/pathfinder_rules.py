"""What Pathfinder pictures are drawn: sizes and numbers, and those of Long Range Arena."""

from __future__ import annotations

from dataclasses import dataclass, field

DIFFICULTIES = {"easy": 6, "intermediate": 9, "hard": 14}
"""Strokes of each long path; published as curv_baseline, curv_contour_length_9 and curv_contour_length_14."""


@dataclass(frozen=True)
class PathfinderRules:
    """What pictures are drawn; lengths are in pixels.

    Attributes:
        size: width and height.
        strokes: of each of the two long paths.
        length, thickness: of a stroke.
        margin: around a stroke, and half the gap between two.
        continuity: how straight paths are: turns are weighted by cos(continuity * turn) squared.
        seed_distance: between the two paths' first ends; twice as far they stay from the border.
        radius: of the discs.
        distractor_strokes, distractors: of each short path, and how many there are.
        brightness, distractor_brightness: of strokes, relative to the discs.
    """

    size: int
    strokes: int
    length: int
    thickness: float
    margin: int
    continuity: float
    seed_distance: int
    radius: float
    distractor_strokes: int
    distractors: int
    brightness: float
    distractor_brightness: float
    padding: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check that there is room.

        Raises:
            ValueError: there is none, or a value is out of its range.
        """
        for name in ("strokes", "length", "margin", "seed_distance", "padding", "distractor_strokes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("thickness", "continuity", "radius", "brightness", "distractor_brightness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.strokes < 2:
            raise ValueError(f"strokes must be at least 2, for a path has two ends, got {self.strokes}")
        if self.distractors < 0:
            raise ValueError(f"distractors must not be negative, got {self.distractors}")
        if self.size <= 4 * self.seed_distance:
            raise ValueError(
                f"size must be above {4 * self.seed_distance}, since paths begin twice seed_distance away from every "
                f"border, got {self.size}"
            )
        inside = (self.size - 2 * self.padding) ** 2
        taken = 2 * self.strokes * (self.length + 2 * self.margin) * (self.thickness + 2 * self.margin)
        if taken > inside:
            raise ValueError(
                f"two paths of {self.strokes} strokes take about {taken:,.0f} pixels, more than the {inside:,} inside "
                "the border; take fewer or shorter strokes, or a larger size"
            )


def published_rules(size: int, difficulty: str = "hard") -> PathfinderRules:
    """The rules of Long Range Arena.

    Raises:
        ValueError: there is no such size or difficulty.
    """
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty must be one of {', '.join(DIFFICULTIES)}, got {difficulty!r}")
    strokes = DIFFICULTIES[difficulty]
    short = strokes // 3
    if size == 32:
        return PathfinderRules(32, strokes, 2, 0.5, 1, 1.0, 7, 1.5, short, 20 // short, 1.5, 2.0)
    if size == 64:
        return PathfinderRules(64, strokes, 5, 1.0, 1, 1.8, 12, 2.5, short, 22 // short, 0.8, 0.8)
    raise ValueError(f"size must be 32 or 64, got {size}")
