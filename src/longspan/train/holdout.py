"""Which examples are held out for validation: a share of them, and of each class the same share."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from random import Random

MOST_CLASSES = 1000
"""Classes that are counted apart; what comes later is drawn without regard to its class."""


MOST_GROUPS = 10_000
"""Groups that are counted, so that their share is exact; of later ones their own text decides."""


class Holdout:
    """Says of one example after another whether it is held out; a counter a class and a bit a group are kept.

    Of an example without a class this is drawn by itself. Of each class, one example is drawn from each run of
    ``1 / share`` of them: the share is then the same in every class, up to one example, however few there are. Of the
    examples of a group, such as all questions about a document, the first decides for all, wherever the others stand:
    groups are then drawn as the examples of a class are.

    Args:
        share: from 0 up to 1, excluded.
        seed: of the draw.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share, self._seed = share, seed
        self._draw = Random(f"holdout {seed}").random
        self._classes: dict[str, _Class] = {}
        self._groups: dict[bytes, bool] = {}

    def __call__(self, stratum: str | None, group: str | None = None) -> bool:
        """Whether the next example, of the class ``stratum`` or of ``group``, is held out."""
        if self._share == 0:
            return False
        if group is not None:
            return self._draw_group(group)
        known = stratum in self._classes
        if stratum is None or (not known and len(self._classes) == MOST_CLASSES):
            return self._draw() < self._share
        if not known:
            self._classes[stratum] = _Class(self._share, Random(f"holdout {self._seed} {stratum}"))
        return self._classes[stratum].draw()

    def _draw_group(self, group: str) -> bool:
        digest = blake2b(f"holdout {self._seed} {group}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if digest not in self._groups:
            if len(self._groups) == MOST_GROUPS:
                return int.from_bytes(digest) < self._share * 2**64
            self._groups[digest] = self._all_groups.draw()
        return self._groups[digest]

    @cached_property
    def _all_groups(self) -> _Class:
        return _Class(self._share, Random(f"holdout {self._seed} groups"))


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
