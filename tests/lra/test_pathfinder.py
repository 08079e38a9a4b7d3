"""Pathfinder: what the pictures hold, that they depend on the seed alone, and refusals."""

import dataclasses
import math

import numpy as np
import pytest

from longspan.lra.generating import generate_pathfinder
from longspan.lra.pathfinder import _Drawing, draw_picture
from longspan.lra.pathfinder_rules import DIFFICULTIES, published_rules
from longspan.lra.rows import Rows
from longspan.lra.strokes import disc, disc_offsets, stroke

EASY = published_rules(32, "easy")


def draw(rules, number, seed=0):
    return [draw_picture(np.random.default_rng((seed, i)), rules) for i in range(number)]


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_published_pictures(size, difficulty):
    rules = published_rules(size, difficulty)
    pictures = draw(rules, 40 if size == 32 else 4)
    for picture, label in pictures:
        assert picture.shape == (size, size) and picture.dtype == np.uint8 and label in (0, 1)
        assert picture.max() == 255 and picture[0, 0] == 0
    # ink, in units of a stroke's length and thickness
    strokes = 2 * rules.strokes + rules.distractors * rules.distractor_strokes
    ink = np.mean([np.count_nonzero(picture) for picture, _ in pictures])
    assert 0.5 < ink / (strokes * (rules.length + 1) * (rules.thickness + 1)) < 1.6


def test_longer_paths_have_fewer_but_longer_distractors():
    found = [published_rules(32, name) for name in DIFFICULTIES]
    assert [(r.strokes, r.distractor_strokes, r.distractors) for r in found] == [(6, 2, 10), (9, 3, 6), (14, 4, 5)]
    found = [published_rules(64, name) for name in DIFFICULTIES]
    assert [(r.strokes, r.distractor_strokes, r.distractors) for r in found] == [(6, 2, 11), (9, 3, 7), (14, 4, 5)]


@pytest.mark.parametrize("difficulty", ["easy", "hard"])
def test_labels_are_balanced(difficulty):
    labels = [label for _, label in draw(published_rules(32, difficulty), 400)]
    assert abs(np.mean(labels) - 0.5) < 4 * 0.5 / math.sqrt(400)


def test_discs_are_darker_than_paths_and_these_than_distractors(monkeypatch):
    """On 32 x 32 pixels and a black ground, as published: 1 to 1.5 to 2; and the picture holds all three."""
    stages = []
    two_paths = _Drawing.draw_two_paths

    def keep_paths(self):
        found = two_paths(self)
        if found is not None:
            stages.append(self._inner(self.image).max())
        return found

    monkeypatch.setattr(_Drawing, "draw_two_paths", keep_paths)
    pictures = [picture for rules in (EASY, published_rules(32, "hard")) for picture, _ in draw(rules, 10)]
    assert stages == pytest.approx([1.5] * 20, rel=0.01)
    for picture in pictures:
        discs, paths, distractors = (np.count_nonzero(abs(picture - value) <= 4) for value in (128.0, 191.0, 253.0))
        # a disc of a radius of 1.5 has nine whole pixels, of which its path takes some
        assert 6 <= discs <= 40 and paths >= 10 and distractors >= 3


@pytest.mark.parametrize("rules", [EASY, published_rules(32, "hard"), published_rules(64, "easy")])
def test_discs_are_at_the_ends_that_the_label_says(rules, monkeypatch):
    """The ends of both paths are taken down; the marks are two of them."""
    tips, marks = [], []
    two_paths, finish = _Drawing.draw_two_paths, _Drawing.finish

    def keep_tips(self):
        found = two_paths(self)
        if found is not None:
            tips.append(found)
        return found

    def keep_marks(self, given):
        marks.append(given)
        return finish(self, given)

    monkeypatch.setattr(_Drawing, "draw_two_paths", keep_tips)
    monkeypatch.setattr(_Drawing, "finish", keep_marks)
    labels = [label for _, label in draw(rules, 30)]
    assert len(tips) == len(marks) == 30
    begun = set()
    for (first, second), (one, other), label in zip(tips, marks, labels, strict=True):
        mine = 0 if one == first[0] else 1
        begun.add(mine)
        assert one == (first, second)[mine][0]
        assert other == (first, second)[mine if label else 1 - mine][1]
        # the two paths begin at a distance of seven pixels, up to rounding
        assert abs(math.dist(first[0], second[0]) - rules.seed_distance) <= 1
    assert begun == {0, 1}


def test_strokes_hardly_overlap(monkeypatch):
    """The ink of a picture is that of its strokes: none is drawn over another."""
    rules = dataclasses.replace(EASY, brightness=1.0)
    paint, shares = _Drawing._paint, []

    def counted(self, canvas, pixel, patch):
        if canvas is self.image:
            self.ink = getattr(self, "ink", 0.0) + patch.sum()
        paint(self, canvas, pixel, patch)

    monkeypatch.setattr(_Drawing, "_paint", counted)
    for seed in range(40):
        drawing = _Drawing(np.random.default_rng(seed), rules)
        if drawing.draw_two_paths() is not None:
            shares.append(drawing.image.sum() / drawing.ink)
    assert len(shares) > 10 and np.mean(shares) > 0.97


def test_paths_are_straighter_with_more_continuity():
    def turns(continuity):
        found = []
        rules = dataclasses.replace(EASY, continuity=continuity, strokes=4)
        for seed in range(60):
            drawing = _Drawing(np.random.default_rng(seed), rules)
            extend = drawing._extend

            def noted(path, brightness, extend=extend):
                before = path.angle
                end = extend(path, brightness)
                turn = abs(path.angle - before) % (2 * math.pi)
                found.append(min(turn, 2 * math.pi - turn))
                return end

            drawing._extend = noted
            drawing.draw_two_paths()
        return np.array(found)

    loose, straight = turns(1.0), turns(3.0)
    assert loose.max() <= math.pi / 2 + 1e-6 and straight.max() <= math.pi / 6 + 1e-6
    assert straight.mean() < 0.6 * loose.mean()


def test_a_stroke_and_its_place():
    line, place = stroke(0.0, 3, 1.0, 1)
    assert line.shape == place.shape == (11, 11)
    assert np.allclose(line[5, 6:8], 1) and line[4].max() == line[6].max() == 0
    # half a pixel to each side of its ends
    assert 0 < line[5, 5] < 1 and line[5, :5].max() == 0 and line[5, 9:].max() == 0
    assert (place[4:7, 5:9] > 0.95).all() and place[5, 9] > 0 and place[2].max() == 0
    assert np.allclose(stroke(math.pi / 2, 3, 1.0, 1)[0], line.T)


def test_discs():
    assert disc(1.5).shape == (5, 5) and disc(1.5)[2, 2] == 1 and disc(1.5)[0, 0] == 0
    assert len(disc_offsets(1)) == 5


def test_pictures_are_the_same_for_a_seed_whatever_the_processes(tmp_path):
    told = []
    for name, seed, processes in (("one", 0, 1), ("two", 0, 2), ("other", 1, 1)):
        generate_pathfinder(
            tmp_path / name,
            EASY,
            rows=(90, 10, 8),
            seed=seed,
            processes=processes,
            on_rows=lambda *at: told.append(at),
        )
    read = {
        name: [(tmp_path / name / part / "tokens.bin").read_bytes() for part in ("train", "validation", "test")]
        for name in ("one", "two", "other")
    }
    assert read["one"] == read["two"] and read["one"] != read["other"]
    assert told[107] == (108, 108)
    rows = Rows(tmp_path / "one" / "validation")
    assert len(rows) == 10 and rows.about["rules"]["size"] == 32
    picture, label = draw(EASY, 91)[90]
    assert (rows[0][0].reshape(32, 32) == picture).all() and rows.labels[0] == label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strokes": 1}, "strokes must be at least 2"),
        ({"size": 28}, "size must be above 28, since paths begin twice seed_distance"),
        ({"strokes": 60}, "take about 1,200 pixels, more than the 900 inside"),
        ({"thickness": 0.0}, "thickness must be above 0"),
        ({"distractors": -1}, "distractors must not be negative"),
    ],
)
def test_impossible_rules(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EASY, **change)


def test_no_such_size_or_difficulty():
    with pytest.raises(ValueError, match="size must be 32 or 64, got 128"):
        published_rules(128)
    with pytest.raises(ValueError, match="difficulty must be one of easy, intermediate, hard, got 'x'"):
        published_rules(32, "x")


def test_no_rows_are_asked_for(tmp_path):
    with pytest.raises(ValueError, match="rows of validation must be at least 1, got 0"):
        generate_pathfinder(tmp_path / "out", EASY, rows=(1, 0, 1))
