"""Plumes of answers made by hand."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from nowcast.plots.plume import plot_plume, save_plume
from pipelines.errors import InputError
from pipelines.store.units import RAIN_RATE

INIT = np.datetime64("2021-07-04T14:00", "ns")


def answers(places: int = 1, members: int = 4) -> xr.Dataset:
    """Member m has m mm h-1 at the first of three lead times, and one more at each of the others."""
    amount = np.arange(members)[:, None] + np.arange(3.0) + np.zeros((places, 1, 1))
    valid = INIT + (np.arange(1, 4) * 5).astype("timedelta64[m]")
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    return xr.Dataset(
        {
            "amount": (("place", "member", "lead_time"), amount, {"units": "mm h-1"}),
            "amount_quantile": (("place", "quantile", "lead_time"), np.quantile(amount, levels, axis=1).swapaxes(0, 1)),
        },
        {
            "name": ("place", [f"P{number}" for number in range(places)]),
            "series": ("place", ["pixel"] * places),
            "init_time": ("place", [INIT] * places),
            "valid_time": (("place", "lead_time"), [valid] * places),
            "quantile": levels,
            "threshold": [1.0, 50.0],
            "threshold_text": ("threshold", ["1 mm h⁻¹", "50 mm h⁻¹"]),
        },
        {"quantity": RAIN_RATE},
    )


def test_bands_median_members_and_the_thresholds_in_sight():
    (ax,) = plot_plume(answers()).axes
    assert ax.get_title(loc="left") == "P0: from 2021-07-04 14:00 UTC" and ax.get_ylabel() == "rain rate\n(mm h⁻¹)"
    by_label = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(by_label["median"].get_ydata(), [1.5, 2.5, 3.5])
    assert len(ax.lines) == 4 + 1 + 1  # members, median, and the threshold of 1: 50 is far above
    assert [text.get_text() for text in ax.texts] == ["1 mm h⁻¹"] and len(ax.collections) == 2


def test_observations_a_single_member_and_what_is_beyond_advection():
    one = answers(members=1)
    one["observed"] = (("place", "lead_time"), [[0.0, 2.0, np.nan]])
    one = one.assign_coords(reached=(("place", "lead_time"), [[1.0, 1.0, 0.0]]))
    (ax,) = plot_plume(one).axes
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["forecast", "observed", "beyond what advection reaches"] and not ax.collections


def test_a_place_never_observed_is_noted_and_too_many_are_refused(tmp_path):
    blind = answers(2)
    blind["amount"][1], blind["amount_quantile"][1] = np.nan, np.nan
    first, second = plot_plume(blind).axes
    assert "never observed" not in [text.get_text() for text in first.texts]
    assert "never observed" in [text.get_text() for text in second.texts]
    with pytest.raises(InputError, match="too many places to draw; got 13; expected at most 12"):
        plot_plume(answers(13))
    assert save_plume(blind, tmp_path / "plume.png").stat().st_size > 5000
    with pytest.raises(InputError, match="exists; say --overwrite"):
        save_plume(blind, tmp_path / "plume.png")


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("levels", [(0.1, 0.2, 0.3), (0.2, 0.1, 5.0), (4.9, 5.0, 4.8)])
def test_labels_of_thresholds_do_not_overlap_and_stand_in_their_order(places, levels):
    texts = ("threshold", [f"{level:g} mm h⁻¹" for level in levels])
    close = answers(places).drop_dims("threshold").assign_coords(threshold=list(levels), threshold_text=texts)
    figure = plot_plume(close)
    figure.canvas.draw()
    for ax in figure.axes:
        by_height = sorted(ax.texts, key=lambda text: text.get_window_extent().y0)
        assert [text.get_text() for text in by_height] == [f"{level:g} mm h⁻¹" for level in sorted(levels)]
        boxes = [text.get_window_extent() for text in by_height]
        assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


def test_dry_observations_stand_whole_before_the_axis():
    one = answers()
    one["observed"] = (("place", "lead_time"), [[0.0, 0.0, 2.0]])
    (ax,) = plot_plume(one).axes
    (observed,) = (line for line in ax.lines if line.get_label() == "observed")
    axis = ax.spines["bottom"]
    assert not observed.get_clip_on() and observed.get_zorder() > axis.get_zorder()
