"""Draw the pictures of the attention patterns: python docs/draw_patterns.py writes docs/images/*.svg."""

from collections.abc import Callable
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
CELL = 14
LOCAL, GLOBAL, SEEN, EMPTY, INK = "#3f7fbf", "#d98324", "#5aa469", "#8a94a333", "#78828f"
QUERY, KEY, MIDDLE = "#3f7fbf", "#5aa469", "#d98324"


def svg(width: int, height: int, body: str, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="13"><title>{title}</title>\n{body}</svg>\n'
    )


def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = INK, size: int = 13) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>\n'


def grid(x: float, y: float, rows: int, columns: int, colour: Callable[[int, int], str], cell: int = CELL) -> str:
    lines = (
        "".join(
            f'<rect x="{x + j * cell:g}" y="{y + i * cell:g}" width="{cell - 1}" height="{cell - 1}" rx="2" '
            f'fill="{colour(i, j)}"/>'
            for j in range(columns)
        )
        for i in range(rows)
    )
    return "".join(line + "\n" for line in lines)


def key(x: float, y: float, colour: str, words: str) -> str:
    return f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" fill="{colour}"/>\n' + text(
        x + 18, y, words, "start"
    )


def longformer() -> str:
    """Four panels of 18 x 18: a window, the same dilated, causal, and with two global tokens."""
    n, half, tokens = 18, 3, {0, 9}

    def window(i: int, j: int) -> str:
        return LOCAL if abs(i - j) <= half else EMPTY

    def dilated(i: int, j: int) -> str:
        return LOCAL if abs(i - j) <= 2 * half and (i - j) % 2 == 0 else EMPTY

    def causal(i: int, j: int) -> str:
        return LOCAL if 0 <= i - j <= half else EMPTY

    def with_global(i: int, j: int) -> str:
        return GLOBAL if i in tokens else SEEN if j in tokens else window(i, j)

    panels = [
        ("window (3, 3)", window),
        ("dilation 2", dilated),
        ("causal: (3, 0)", causal),
        ("window and two global tokens", with_global),
    ]
    side, gap, left, top = n * CELL, 34, 26, 34
    body = ""
    for number, (name, colour) in enumerate(panels):
        x = left + number * (side + gap)
        body += text(x + side / 2, top - 12, name) + grid(x, top, n, n, colour)
    bottom = top + side + 24
    body += text(left - 8, top + 11, "i", "end") + text(left + 4, top + side + 14, "j", "start")
    body += key(left + 40, bottom + 10, LOCAL, "query i sees key j of its window")
    body += key(left + 300, bottom + 10, SEEN, "every token sees the global ones, in the same softmax")
    body += key(left + 710, bottom + 10, GLOBAL, "a global token sees all, through projections of its own")
    return svg(left + 4 * side + 3 * gap + 10, bottom + 30, body, "Longformer attention patterns")


def nystrom() -> str:
    """Three factors in place of one square: N x m, m x m, m x N."""
    n, m, cell = 20, 5, 12
    top, left, side = 40, 20, n * cell
    small = m * cell
    body = text(left + side / 2, top - 14, "softmax(Q Kᵀ)") + grid(left, top, n, n, lambda i, j: EMPTY, cell)
    body += text(left + side / 2, top + side + 22, "N × N: never made")
    x = left + side + 34
    body += text(x, top + side / 2 + 5, "≈", size=26)
    x += 34
    body += text(x + small / 2, top - 14, "softmax(Q K̃ᵀ)") + grid(x, top, n, m, lambda i, j: QUERY, cell)
    body += text(x + small / 2, top + side + 22, "N × m")
    x += small + 22
    body += text(x, top + side / 2 + 5, "·", size=26)
    x += 40
    middle = top + (side - small) / 2
    body += text(x + small / 2, middle - 14, "softmax(Q̃ K̃ᵀ)⁺") + grid(x, middle, m, m, lambda i, j: MIDDLE, cell)
    body += text(x + small / 2, middle + small + 22, "m × m")
    x += small + 40
    body += text(x, top + side / 2 + 5, "·", size=26)
    x += 22
    body += text(x + side / 2, middle - 14, "softmax(Q̃ Kᵀ)") + grid(x, middle, m, n, lambda i, j: KEY, cell)
    body += text(x + side / 2, middle + small + 22, "m × N")
    body += text(
        x + side / 2,
        middle + small + 60,
        "Q̃, K̃: means of m runs of neighbouring tokens",
    )
    return svg(int(x + side + 50), top + side + 40, body, "Nyström attention as three small factors")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "longformer-patterns.svg").write_text(longformer(), encoding="utf-8")
    (IMAGES / "nystrom-factors.svg").write_text(nystrom(), encoding="utf-8")


if __name__ == "__main__":
    main()
