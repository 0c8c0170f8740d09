import torch
from hypothesis import given
from hypothesis import strategies as st

from nowcast.models.layers.tiles import blend, cover


def test_tiles_by_hand():
    assert [(tile.row, tile.column) for tile in cover(16, 16, 16)] == [(0, 0)]
    assert [(tile.row, tile.column) for tile in cover(16, 28, 16)] == [(0, 0), (0, 12)]  # a quarter of 16 in common
    assert [tile.column for tile in cover(16, 29, 16)] == [0, 6, 13]


@given(st.integers(8, 60), st.integers(8, 60))
def test_tiles_cover_the_domain_and_keep_within_it(height, width):
    seen = torch.zeros(height, width)
    for tile in cover(height, width, 8):
        part = tile.of(seen)
        assert part.shape == (8, 8)
        part += 1
    assert (seen >= 1).all()


@given(st.integers(8, 30), st.integers(8, 30))
def test_parts_of_one_field_blend_to_that_field(height, width):
    field = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    tiles = cover(height, width, 8)
    torch.testing.assert_close(blend((tile.of(field) for tile in tiles), tiles, height, width), field)


def test_between_two_tiles_the_blend_has_no_step():
    tiles = cover(8, 14, 8)
    parts = [torch.full((8, 8), float(number)) for number in range(len(tiles))]
    row = blend(parts, tiles, 8, 14)[4]
    # Two locations in common: their weights are 2 and 1 in the first tile, and 1 and 2 in the second.
    torch.testing.assert_close(row, torch.tensor([0] * 6 + [1 / 3, 2 / 3] + [1] * 6))
