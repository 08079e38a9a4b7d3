from experiments.word_tags import FrequentTag, WordClassifier, describe, words
from longspan.tasks.conll import read_tagged
from longspan.tasks.examples import keep_good


def read(folder, *sentences):
    path = folder / "rows.conll"
    path.write_text("\n\n".join("\n".join(row.replace("/", "\t") for row in s.split()) for s in sentences) + "\n")
    return list(keep_good(read_tagged(str(path))))


def test_each_word_gets_its_most_frequent_tag(tmp_path):
    rows = read(tmp_path, "Rome/B-place is/O", "Rome/B-place fell/O", "Rome/B-person sang/O")
    (found,) = FrequentTag().fit(rows).predict(read(tmp_path, "Rome/O met/O Paris/O"))
    assert found["tags"] == ["B-place", "O", "O"]


def test_a_name_that_was_never_seen_is_known_by_what_stands_before_it(tmp_path):
    names = ("Rome", "Oslo", "Cairo", "Lima", "Quito")
    train = read(tmp_path, *(f"they/O live/O in/O {name}/B-place now/O" for name in names))
    (found,) = WordClassifier(30.0, seed=0).fit(train).predict(read(tmp_path, "we/O live/O in/O Kyiv/O now/O"))
    assert found["tags"] == ["O", "O", "O", "B-place", "O"]


def test_features_tell_words_shapes_and_neighbours(tmp_path):
    (row,) = read(tmp_path, "an/O iPhone7/B-product X-2/I-product")
    assert words(row) == ["an", "iPhone7", "X-2"]
    first, middle, last = describe(words(row))
    assert {"shape aAa0", "before an", "after's shape A-0", "ends ne7", "begins iph"} <= set(middle)
    assert "before " in first and "after " in last
