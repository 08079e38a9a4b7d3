import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.nystrom.documents import find_documents
from longspan.ops.nystrom.plan import plan_stretches
from tests.ops.nystrom.cases import segments


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 30),
    num_landmarks=st.integers(1, 5),
    piece=st.integers(1, 12),
    data=st.data(),
)
def test_stretches_cover_the_row_and_keep_documents_whole(batch, length, num_landmarks, piece, data):
    run = st.tuples(st.integers(-1, 3), st.integers(1, 20))
    rows = []
    for _ in range(batch):
        row = [ident for ident, times in data.draw(st.lists(run, min_size=1)) for _ in range(times)]
        rows.append((row * length)[:length])
    ids = torch.tensor(rows)
    documents, numbers = find_documents(ids)
    flat = numbers.flatten()
    position = 0
    for stretch in plan_stretches(batch, length, ids, num_landmarks, piece):
        assert stretch.start == position < stretch.stop
        position = stretch.stop
        inside = flat[stretch.start : stretch.stop]
        assert torch.equal(inside, inside if stretch.numbers is None else stretch.numbers)
        found = [documents[k] for k in inside[inside >= 0].unique()]
        assert sum(document.count for document in found) == int((inside >= 0).sum())  # none is cut
        if stretch.long:
            (document,) = found
            assert document.span == stretch.stop - stretch.start > piece and document.count > num_landmarks
        if stretch.numbers is None:
            assert len(found) == 1 and found[0].count == stretch.length == stretch.stop - stretch.start
    assert position == batch * length


def lay_out(*rows, num_landmarks=2, piece=4):
    found = plan_stretches(len(rows), len(rows[0]), segments(*rows), num_landmarks, piece)
    return [(x.start, x.stop, x.long) for x in found]


def test_short_documents_share_a_stretch_and_long_ones_have_their_own():
    assert lay_out("0011122222223344") == [(0, 2, False), (2, 5, False), (5, 12, True), (12, 16, False)]
    # over the ends of rows too, and with padding between
    assert lay_out("000.", "1.22") == [(0, 4, False), (4, 8, False)]
    # documents that interleave are not cut, nor those with few valid tokens
    assert lay_out("0101010101") == [(0, 10, False)]
    assert lay_out("0.........0...........") == [(0, 11, False), (11, 15, False), (15, 19, False), (19, 22, False)]


def test_rows_without_padding():
    def found(batch, length):
        return [(x.start, x.stop, x.long, x.length) for x in plan_stretches(batch, length, None, 2, 4)]

    assert found(2, 5) == [(0, 5, True, 5), (5, 10, True, 5)]
    assert found(3, 2) == [(0, 4, False, 2), (4, 6, False, 2)]
    assert found(0, 5) == found(5, 0) == []


def test_pieces_are_of_like_length():
    (stretch,) = plan_stretches(1, 10, None, 2, 4)
    assert stretch.pieces(4) == [slice(0, 3), slice(3, 6), slice(6, 10)]
