"""The published files, as small ones of the same layout: ids, labels and what is refused."""

import io
import json
import lzma
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from longspan.lra.pictures import CLASSES, is_lossy, read_cifar, read_pathfinder, to_gray
from longspan.lra.readers import KINDS, read_listops, read_retrieval, read_text
from longspan.lra.rows import Rows, hash_rows, holds_rows, write_rows
from longspan.tasks.examples import DataError

PARTS = ("train", "validation", "test")


def as_lists(rows):
    return [([list(ids) for ids in documents], label) for documents, label in rows]


def write_reviews(folder, packed=False):
    for part, rows in (("train", [("bad", "neg"), ("good é", "pos")]), ("test", [("so", "pos")])):
        lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        path = folder / f"{part}.jsonl{'.xz' if packed else ''}"
        path.write_bytes(lzma.compress(lines.encode()) if packed else lines.encode())


@pytest.mark.parametrize("packed", [False, True])
def test_reviews_are_bytes(tmp_path, packed):
    write_reviews(tmp_path, packed)
    rows = as_lists(read_text(tmp_path, "train", 6))
    assert rows == [([[ord(c) + 1 for c in "bad"]], 0), ([[b + 1 for b in "good é".encode()[:6]]], 1)]
    assert as_lists(read_text(tmp_path, "validation", 6)) == as_lists(read_text(tmp_path, "test", 6))


def test_reviews_in_the_published_folders(tmp_path):
    for name, text in (("pos/1_9.txt", "fine"), ("neg/0_2.txt", "poor")):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert [label for _, label in read_text(tmp_path, "train", 100)] == [0, 1]


def test_no_reviews(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nor train\.jsonl, nor train\.jsonl\.xz"):
        list(read_text(tmp_path, "train", 6))
    (tmp_path / "train.jsonl").write_text('{"text": "x", "label": "good"}\n')
    with pytest.raises(DataError, match=r"train\.jsonl:1: label must be one of neg, pos, got 'good'"):
        list(read_text(tmp_path, "train", 6))


def test_pairs_of_papers(tmp_path):
    folder = tmp_path / "tsv_data"
    folder.mkdir()
    (folder / "new_aan_pairs.eval.tsv").write_text('1.0\tA1\tB2\tabc\t"d ""e"""\n0.0\tA1\tB3\tabc\tf\n')
    first, second = as_lists(read_retrieval(tmp_path, "validation", 3))
    assert first == ([[98, 99, 100], [101, 33, 35]], 1)
    assert second == ([[98, 99, 100], [103]], 0)


def test_papers_are_bytes_whatever_their_encoding(tmp_path):
    (tmp_path / "new_aan_pairs.train.tsv").write_bytes(b"1.0\ta\tb\tx\xff\xe9 \xc3\xa9\ty\n")
    assert as_lists(read_retrieval(tmp_path, "train", 9)) == [([[i + 1 for i in b"x\xff\xe9 \xc3\xa9"], [122]], 1)]


@pytest.mark.parametrize(
    ("line", "message"), [("1.0\ta\tb\ttext", "five fields"), ("2\ta\tb\tx\ty", "the label must be 0 or 1, got '2'")]
)
def test_no_pair(tmp_path, line, message):
    (tmp_path / "new_aan_pairs.train.tsv").write_text("1.0\ta\tb\tx\ty\n" + line + "\n")
    with pytest.raises(DataError, match=rf"new_aan_pairs\.train\.tsv:2: {message}"):
        list(read_retrieval(tmp_path, "train", 9))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[MAX 1 2 ]", "an expression, a tab and a digit"),
        ("[MAX 1 2 ]\t12", "an expression, a tab and a digit"),
        ("[AVG 1 ]\t1", r"token 1 is '\[AVG'"),
        ("[MAX 1 2\t2", "1 operators are not closed"),
        ("\t5", "there is no token"),
        ("[MAX 1 2 ]\t9", "the expression comes to 2, the line says 9"),
    ],
)
def test_no_expression(tmp_path, line, message):
    (tmp_path / "basic_val.tsv").write_text(f"Source\tTarget\n[MAX 1 2 ]\t2\n{line}\n")
    with pytest.raises(DataError, match=rf"basic_val\.tsv:3: {message}"):
        list(read_listops(tmp_path, "validation", 2000))


def test_listops_in_the_folder_of_the_release(tmp_path):
    (tmp_path / "listops-1000").mkdir()
    (tmp_path / "listops-1000/basic_val.tsv").write_text("Source\tTarget\n[MAX 1 2 ]\t2\n")
    assert len(list(read_listops(tmp_path, "validation", 2000))) == 1
    with pytest.raises(FileNotFoundError, match=r"no such file, nor listops-1000/basic_train\.tsv"):
        list(read_listops(tmp_path, "train", 2000))


def cifar_batches():
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (20, 3072), dtype=np.uint8), rng.integers(0, 10, 20).astype(np.uint8))
        for name in ["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]
    }


def test_cifar_is_the_same_from_python_and_from_binary_files(tmp_path):
    python, binary = tmp_path / "python", tmp_path / "binary"
    python.mkdir()
    binary.mkdir()
    for name, (pixels, labels) in cifar_batches().items():
        (python / name).write_bytes(pickle.dumps({b"data": pixels, b"labels": labels.tolist()}))
        (binary / f"{name}.bin").write_bytes(np.concatenate([labels[:, None], pixels], 1).tobytes())
    assert not is_lossy(python) and not is_lossy(binary)
    sizes = {}
    for part in PARTS:
        one, two = (as_lists(read_cifar(folder, part, 1024)) for folder in (python, binary))
        assert one == two
        sizes[part] = len(one)
    assert sizes == {"train": 90, "validation": 10, "test": 20}
    pixels, labels = cifar_batches()["data_batch_1"]
    (ids,), label = next(read_cifar(python, "train", 1024))
    assert label == labels[0]
    red, green, blue = (pixels[0, 1024 * c + 37].astype(float) for c in range(3))
    assert ids[37] == int((0.2989 * red + 0.587 * green + 0.114 * blue) * 255.5 / 255)


@pytest.mark.parametrize("packed", [False, True])
def test_a_class_that_is_not_there(tmp_path, packed):
    for name, (pixels, labels) in cifar_batches().items():
        labels[3] = 77 if name == "data_batch_2" else 1
        python = pickle.dumps({b"data": pixels, b"labels": labels.tolist()})
        binary = np.concatenate([labels[:, None], pixels], 1).tobytes()
        (tmp_path / (f"{name}.bin" if packed else name)).write_bytes(binary if packed else python)
    name = r"data_batch_2\.bin" if packed else "data_batch_2"
    with pytest.raises(DataError, match=f"{name}: picture 4 has class 77, there are 0 to 9"):
        list(read_cifar(tmp_path, "train", 1024))
    assert len(list(read_cifar(tmp_path, "test", 1024))) == 20


def test_gray_of_gray_is_itself_and_white_stays_white():
    values = np.arange(256, dtype=np.uint8)
    assert np.abs(to_gray(np.stack([values] * 3, 1)).astype(int) - values).max() == 0


def test_a_pickle_may_hold_arrays_only(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Path}))
    with pytest.raises(DataError, match=r"data_batch_1: no batch of CIFAR-10: it asks for pathlib"):
        list(read_cifar(tmp_path, "train", 1024))


def test_a_damaged_binary_file(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(b"123")
    with pytest.raises(DataError, match="rows of 3,073 bytes are expected, the file has 3 bytes"):
        list(read_cifar(tmp_path, "train", 1024))


def picture(shade):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_jpeg_pictures_are_read_and_called_lossy(tmp_path, packed):
    pytest.importorskip("PIL")
    shades = {f"train/{CLASSES[i % 10]}/{i:04}.jpg": 10 * i for i in range(20)}
    for name, shade in shades.items():
        path = tmp_path / "loose" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(shade))
    data = tmp_path / "loose"
    if packed:
        data = tmp_path / "packed"
        data.mkdir()
        with tarfile.open(data / "train.tar.xz", "w:xz") as archive:
            archive.add(tmp_path / "loose" / "train", "train")
    assert is_lossy(data)
    rows = {part: list(read_cifar(data, part, 1024)) for part in ("train", "validation")}
    assert len(rows["train"]) == 18 and len(rows["validation"]) == 2
    for (ids,), label in rows["train"]:
        assert len(ids) == 1024 and (round(float(ids.mean())) // 10) % 10 == label
    # shuffled: the last tenth is not of the last classes alone
    assert [label for _, label in rows["train"]] != sorted(label for _, label in rows["train"])


def test_pictures_of_another_size_are_refused(tmp_path):
    """A part of one would be cut off in silence."""
    pytest.importorskip("PIL")
    from PIL import Image

    path = tmp_path / "train/cat/1.jpg"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (64, 32)).save(path)
    with pytest.raises(DataError, match=r"cat/1\.jpg: a picture of 32 x 32 is expected, got 64 x 32"):
        list(read_cifar(tmp_path, "train", 1024))
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/0.npy").write_text("train/cat 1.jpg 0 1\n" * 2)
    for task, side in (("pathfinder32", 32), ("pathfinder64", 64)):
        with pytest.raises(DataError, match=rf"1\.jpg: a picture of {side} x {side} is expected, got 64 x 32"):
            list(KINDS[task].read(tmp_path, "train", side**2))


def test_published_pathfinder_folders(tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    (tmp_path / "metadata").mkdir()
    (tmp_path / "imgs/0").mkdir(parents=True)
    lines = []
    for i in range(20):
        path = tmp_path / "imgs/0" / f"sample_{i}.png"
        Image.fromarray(np.full((32, 32), 10 * i, np.uint8)).save(path)
        lines.append(f"imgs/0 sample_{i}.png {i} {i % 2} 1.0 14 4 2 0.5 1 1\n")
    (tmp_path / "metadata/0.npy").write_text("".join(lines))
    (tmp_path / "imgs/0/sample_7.png").write_bytes(b"")  # the published data has one such file
    rows = {part: list(read_pathfinder(tmp_path, part, 1024)) for part in PARTS}
    assert sum(map(len, rows.values())) == 19 and len(rows["test"]) <= 2
    seen = [int(ids[0]) // 10 for part in PARTS for (ids,), _ in rows[part]]
    assert sorted(seen) == [i for i in range(20) if i != 7]
    assert all(label == (ids[0] // 10) % 2 for part in PARTS for (ids,), label in rows[part])
    assert as_lists(rows["train"]) == as_lists(read_pathfinder(tmp_path, "train", 1024))
    (tmp_path / "metadata/0.npy").write_text("imgs/0 sample_1.png\n")
    with pytest.raises(DataError, match=r"0\.npy:1: folder, file, number and label are expected"):
        list(read_pathfinder(tmp_path, "train", 1024))


def test_rows_come_back_as_they_were_written(tmp_path):
    given = [([[1, 300], [2]], 0), ([[], [5, 6, 7]], 1)]
    for part in PARTS:
        assert not holds_rows(tmp_path)
        write_rows(tmp_path / part, iter(given), documents=2, vocabulary=301, about={"source": "here"})
    assert holds_rows(tmp_path)
    rows = Rows(tmp_path / "train")
    assert len(rows) == 2 and rows.about["source"] == "here" and rows.about["dtype"] == "uint16"
    assert [[list(ids) for ids in row] for row in rows] == [documents for documents, _ in given]
    assert rows.longest == 3 and list(rows.labels) == [0, 1]
    with pytest.raises(IndexError, match=r"row must be in 0\.\.1, got 2"):
        rows[2]


def test_no_row_is_no_data(tmp_path):
    with pytest.raises(DataError, match="there is no row"):
        write_rows(tmp_path / "train", iter([]), documents=1, vocabulary=16, about={})
    assert not list(tmp_path.iterdir())


def test_documents_without_a_token_are_no_data(tmp_path):
    with pytest.raises(DataError, match="train: all documents are empty"):
        write_rows(tmp_path / "train", iter([([[]], 0), ([[]], 1)]), documents=1, vocabulary=16, about={})
    assert not list(tmp_path.iterdir())


def test_rows_are_told_from_others(tmp_path):
    def hashed(name, token, label=0):
        for part in PARTS:
            write_rows(tmp_path / name / part, [([[token]], label)], documents=1, vocabulary=16, about={"from": name})
        return hash_rows({part: Rows(tmp_path / name / part) for part in PARTS})

    one = hashed("one", 1)
    assert hashed("copy", 1) == one and len({one, hashed("other", 2), hashed("label", 1, 1)}) == 3


def test_every_task_has_its_kind():
    assert set(KINDS) == {"listops", "text", "retrieval", "image", "pathfinder32", "pathfinder64"}
    assert [name for name, kind in KINDS.items() if kind.documents == 2] == ["retrieval"]
