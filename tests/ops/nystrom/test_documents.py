import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.ops.nystrom.documents import group_documents
from tests.ops.nystrom.cases import segments


@settings(deadline=None, max_examples=80, derandomize=True)
@given(batch=st.integers(1, 3), length=st.integers(1, 24), num_landmarks=st.integers(1, 8), data=st.data())
def test_every_valid_token_is_in_one_group_with_its_whole_document(batch, length, num_landmarks, data):
    token = st.sampled_from([-5, -1, 0, 1, 2**62])
    ids = torch.tensor([data.draw(st.lists(token, min_size=length, max_size=length)) for _ in range(batch)])
    position = torch.arange(1, batch * length + 1).view(batch, length)
    seen = torch.zeros_like(ids)
    for group in group_documents(batch, length, ids, num_landmarks):
        places, found = group.gather(position), group.gather(ids)
        mask = torch.ones_like(places, dtype=torch.bool) if group.mask is None else group.mask
        for row in range(places.shape[0]):
            member = mask[row]
            (ident,) = found[row, member].unique().tolist()
            batch_row = (int(places[row, member][0]) - 1) // length
            expected = position[batch_row, ids[batch_row] == ident]
            assert torch.equal(places[row, member], expected)  # the whole document, in its order
            assert group.short == (len(expected) <= num_landmarks)
            seen.view(-1)[places[row, member] - 1] += 1
            # places keep their distances
            assert torch.equal(places[row, member].diff(), member.nonzero().flatten().diff())
    assert torch.equal(seen, (ids >= 0).long())


@settings(deadline=None, max_examples=40, derandomize=True)
@given(batch=st.integers(1, 3), length=st.integers(1, 16), data=st.data())
def test_scatter_puts_back_what_gather_took(batch, length, data):
    token = st.sampled_from([-1, 0, 1])
    ids = torch.tensor([data.draw(st.lists(token, min_size=length, max_size=length)) for _ in range(batch)])
    x = torch.randn(batch, length, 2, 3)
    back = torch.zeros_like(x)
    for group in group_documents(batch, length, ids, 4):
        group.scatter(group.gather(x), back)
    assert torch.equal(back, x.masked_fill((ids < 0)[:, :, None, None], 0))


def test_a_batch_with_little_padding_is_not_copied():
    (group,) = group_documents(2, 10, segments("0000000000", "00000000.."), 4)
    x = torch.randn(2, 10, 1, 1)
    assert group.gather(x) is x and group.mask is not None


def test_much_padding_is_left_out():
    ids = torch.full((3, 1000), -1)
    ids[0], ids[1, :10], ids[2, -9:] = 0, 0, 0
    x = torch.zeros(3, 1000, 1, 1)
    assert sorted(tuple(group.gather(x).shape[:2]) for group in group_documents(3, 1000, ids, 4)) == [
        (1, 1000),
        (2, 10),
    ]


def test_padding_alone_has_no_group():
    assert group_documents(2, 3, torch.full((2, 3), -1), 4) == []
