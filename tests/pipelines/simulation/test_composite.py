"""The simulated composite, as a reader of radar sees it."""

import numpy as np

from nowcast.data.radar_file import open_radar
from pipelines.simulation.composite import simulate_composite


def test_it_is_read_as_radar_with_several_storms_in_dry_air(tmp_path):
    store = open_radar(simulate_composite(tmp_path / "composite.nc", 400, 130, frames=3, seed=2))
    counts = store["vil"][0].values
    assert counts.shape == (3, 400, 130) and not np.isnan(counts).any()
    assert np.diff(store["x"].values[:2]).item() == 1000
    assert (np.diff(store["valid_time"].values[0]) == np.timedelta64(5, "m")).all()
    edges = [counts[:, rows] for rows in (0, 199, 200, 399)] + [counts[..., 0], counts[..., 129]]
    assert not any(edge.any() for edge in edges)  # two storms, each of 200 x 130 pixels
    assert all((part >= 16).any() for part in (counts[:, :200], counts[:, 200:]))
    assert not np.array_equal(counts[:, :200], counts[:, 200:]) and not np.array_equal(counts[0], counts[1])
