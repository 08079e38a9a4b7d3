"""Draw samples of Pathfinder: python docs/draw_pathfinder.py writes docs/images/pathfinder.png (extra "bench")."""

from pathlib import Path

import numpy as np

from longspan.lra.pathfinder import draw_picture
from longspan.lra.pathfinder_rules import DIFFICULTIES, published_rules

IMAGE = Path(__file__).parent / "images" / "pathfinder.png"
COLUMNS = 4
NAMES = ("not connected", "connected")


def samples(size: int, difficulty: str, label: int) -> list[np.ndarray]:
    """The first pictures of a label."""
    rules, found, seed = published_rules(size, difficulty), [], 0
    while len(found) < COLUMNS:
        picture, drawn = draw_picture(np.random.default_rng((0, seed)), rules)
        seed += 1
        if drawn == label:
            found.append(picture)
    return found


def main() -> None:
    """Both sizes side by side, a row for each difficulty and label."""
    from matplotlib import pyplot as plt

    rows = [(difficulty, label) for difficulty in DIFFICULTIES for label in (1, 0)]
    figure, axes = plt.subplots(len(rows), 2 * COLUMNS, figsize=(11, 9), dpi=90)
    for (difficulty, label), line in zip(rows, axes, strict=True):
        pictures = [*samples(32, difficulty, label), *samples(64, difficulty, label)]
        for picture, axis in zip(pictures, line, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(f"{difficulty}\n{NAMES[label]}", fontsize=9)
    axes[0][0].set_title("32 x 32", loc="left", fontsize=10)
    axes[0][COLUMNS].set_title("64 x 64", loc="left", fontsize=10)
    figure.tight_layout(pad=0.4)
    figure.savefig(IMAGE)


if __name__ == "__main__":
    main()
