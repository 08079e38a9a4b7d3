"""Find the passages of a contract in Python, and write the page with them highlighted.

    python examples/tag_contract.py contract.txt page.html

Without arguments it reads the contract that ships with longspan.
"""

import sys
from pathlib import Path

from longspan.predict.html import TaggedDocument, render_page
from longspan.predict.reading import read_text
from longspan.predict.tag import Tagger


def main(source: str | Path, page: str | Path) -> None:
    tagger = Tagger.from_pretrained(None)
    text = read_text(source)
    result = tagger(text)
    for passage in sorted(result.passages, key=lambda p: -p.score)[:10]:
        print(f"{passage.score:4.0%}  {passage.category:16} {' '.join(text[passage.start : passage.end].split())[:90]}")
    document = TaggedDocument(Path(source).name, text, result.passages, [f"{result.n_tokens:,} tokens"])
    Path(page).write_text(render_page([document]), encoding="utf-8")
    print(f"{len(result.passages)} passages, {result.n_tokens:,} tokens in {result.seconds:.1f} s; see {page}")


if __name__ == "__main__":
    import longspan

    shipped = Path(longspan.__file__).parent / "pretrained" / "contracts" / "demo_contract.txt"
    arguments = sys.argv[1:]
    main(arguments[0] if arguments else shipped, arguments[1] if len(arguments) > 1 else "page.html")
