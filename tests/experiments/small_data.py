"""A folder of data sets in their published layouts, with a few made-up rows each."""

import io
import json
import lzma
import tarfile
from pathlib import Path


def write_data(folder: Path) -> Path:
    for name in ("hyperpartisan", "squad", "wnut17", "contract-nli", "imdb"):
        (folder / name).mkdir(parents=True)
    _glue(folder / "glue.tar.xz")
    _hyperpartisan(folder / "hyperpartisan")
    _squad(folder / "squad" / "dev-v1.1.rebuilt.json.xz")
    _wnut17(folder / "wnut17")
    return folder


def _glue(path):
    with tarfile.open(path, "w:xz") as archive:
        for part, count in (("train", 60), ("dev", 8)):
            rows = ["index\tsentence1\tsentence2\tlabel"]
            for i in range(count):
                label = ("entailment", "not_entailment")[i % 2]
                rows.append(f"{i}\tIt rained on day {i}.\tStreet {i} was {('wet', 'dry')[i % 2]}.\t{label}")
            content = "\n".join(rows).encode()
            info = tarfile.TarInfo(f"./RTE/{part}.tsv")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _hyperpartisan(folder):
    articles = [f'<article id="{i}" title="News {i}"><p>Text number {i}.</p></article>' for i in range(40)]
    truth = [f'<article id="{i}" hyperpartisan="{("true", "false")[i % 2]}"/>' for i in range(40)]
    for name, rows in (("articles-x", articles), ("ground-truth-x", truth)):
        text = f"<articles>{''.join(rows)}</articles>"
        (folder / f"{name}.xml.xz").write_bytes(lzma.compress(text.encode()))


def _squad(path):
    articles = []
    for i in range(20):
        contexts = [f"Town {i} has {i + 3} gates.", f"Its mayor is Ann{i}."]
        questions = [("How many gates are there?", f"{i + 3}"), ("Who is mayor?", f"Ann{i}")]
        paragraphs = [
            {
                "context": context,
                "qas": [
                    {
                        "id": f"{i}-{n}",
                        "question": question,
                        "answers": [{"text": answer, "answer_start": context.rindex(answer)}],
                    }
                ],
            }
            for n, (context, (question, answer)) in enumerate(zip(contexts, questions, strict=True))
        ]
        articles.append({"title": f"Town {i}", "paragraphs": paragraphs})
    path.write_bytes(lzma.compress(json.dumps({"data": articles, "version": "1.1"}).encode()))


def _wnut17(folder):
    for name, first in (("wnut17train.conll", 0), ("emerging.dev.conll", 20), ("emerging.test.annotated", 30)):
        rows = [f"we\tO\nlive\tO\nin\tO\nTown{i % 5}\tB-location\n" for i in range(first, first + 20)]
        (folder / f"{name}.xz").write_bytes(lzma.compress("\n".join(rows).encode()))
