"""Which examples are held out for validation: a share of them, and of each class the same share."""

from __future__ import annotations

from random import Random

MOST_CLASSES = 1000
"""Classes that are counted apart; what comes later is drawn without regard to its class."""


class Holdout:
    """Says of one example after another whether it is held out; a counter a class is all that is kept.

    Of an example without a class this is drawn by itself. Of each class, one example is drawn from each run of
    ``1 / share`` of them: the share is then the same in every class, up to one example, however few there are.

    Args:
        share: from 0 up to 1, excluded.
        seed: of the draw.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._seed = share, seed
        self._draw = Random(f"holdout {seed}").random
        self._classes: dict[str, _Class] = {}

    def __call__(self, stratum: str | None) -> bool:
        """Whether the next example, of the class ``stratum``, is held out."""
        if self._share == 0:
            return False
        known = stratum in self._classes
        if stratum is None or (not known and len(self._classes) == MOST_CLASSES):
            return self._draw() < self._share
        if not known:
            self._classes[stratum] = _Class(self._share, Random(f"holdout {self._seed} {stratum}"))
        return self._classes[stratum].draw()


class _Class:
    """The draw within one class."""

    def __init__(self, share: float, random: Random) -> None:
        self.share, self.random = share, random
        self.seen = self.drawn = 0
        self.next = self._place()

    def _place(self) -> int:
        """Where in its run the next one that is drawn stands."""
        return int((self.drawn + self.random.random()) / self.share)

    def draw(self) -> bool:
        """Whether the next example is drawn."""
        here = self.seen >= self.next
        self.seen += 1
        if here:
            self.drawn += 1
            self.next = self._place()
        return here
