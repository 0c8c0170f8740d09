"""Columns, tables and figures from scores worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nowcast.experiments.beside import beside, side_by_side
from nowcast.experiments.columns import COLUMNS
from nowcast.experiments.figures import dots, leads, sweep
from nowcast.experiments.page import markdown, table
from nowcast.experiments.places import accumulated_error
from nowcast.experiments.results import scored
from nowcast.experiments.runs import allowed_steps
from nowcast.training.config import StageConfig


@pytest.fixture
def scores():
    """Of STEPS and another, at thresholds 16 and 74."""
    crps = xr.DataArray([2.0, 3.0], dims="forecast")
    csi = xr.DataArray([[[0.5, 0.25], [0.1, 0.2]]] * 2, dims=("forecast", "summary", "threshold"))
    coords = {"forecast": ["forecast", "reference"], "summary": ["mean", "member"], "threshold": [16.0, 74.0]}
    return xr.Dataset(
        {
            "crps_fair_pooled": crps,
            "crps_fair_pooled_interval": (("forecast", "bound"), [[1.5, 2.5], [2.8, 3.1]]),
            "crps_fair_pooled_difference": (("forecast",), [0.0, -1.0]),
            "crps_fair_pooled_difference_interval": (("forecast", "bound"), [[0.0, 0.0], [-1.4, -0.7]]),
            "crps_fair": (("forecast", "lead_time"), [[1.0, 3.0], [2.0, 4.0]]),
            "csi_pooled": csi,
            "mse_pooled": (("forecast",), [65.025, 130.05]),
        },
        coords,
        {"mean": "pooled", "data_range": 255.0},
    )


def test_a_column_takes_its_score_where_and_in_the_units_it_says(scores):
    assert COLUMNS["CSI 74"].values(scores)[0].values.tolist() == [0.25, 0.25]
    assert COLUMNS["MSE"].values(scores)[0].values == pytest.approx([0.001, 0.002])
    assert COLUMNS["MSE x10"].values(scores)[0].values == pytest.approx([0.01, 0.02])
    assert COLUMNS["CRPS"].values(scores, by_lead=True)[0].values.tolist() == [[1, 3], [2, 4]]
    assert COLUMNS["CRPS"].values(scores)[1].values.tolist() == [[1.5, 2.5], [2.8, 3.1]]
    missing, interval = COLUMNS["LPIPS"].values(scores)
    assert np.isnan(missing).all() and interval is None


def test_a_difference_to_steps_is_of_the_other_sign_than_that_of_steps_to_others(scores):
    value, interval = COLUMNS["CRPS - STEPS"].values(scores)
    assert value.values.tolist() == [0.0, 1.0] and interval.values.tolist() == [[0, 0], [0.7, 1.4]]


@pytest.mark.parametrize("with_steps", [True, False])
def test_differences_are_to_the_row_of_steps_wherever_it_stands(scores, monkeypatch, with_steps):
    scores = scores.assign(cases=4).assign_coords(
        members=("forecast", [2, 1]), lead_time=np.array([5, 10], "timedelta64[m]").astype("timedelta64[ns]")
    )
    monkeypatch.setattr("nowcast.experiments.results.scores_of", lambda states, only: scores)
    names = ("unet", "pysteps" if with_steps else "sprog")
    made = [SimpleNamespace(variant=SimpleNamespace(model=name), trained=None, parameters=None) for name in names]
    result = scored(made, SimpleNamespace(sums=lambda one: one), ["CRPS", "CRPS - STEPS", "LPIPS"])
    crps, difference, lpips = result["score"].transpose("column", "row").values
    if with_steps:  # which is the first of the scores, and the second row
        assert crps.tolist() == [3, 2] and difference[0] == 1 and np.isnan(difference[1])
        assert result["interval"].sel(row=0).isel(column=1).values.tolist() == [0.7, 1.4]
        assert result["members"].values.tolist() == [1, 2]
    else:
        assert crps.tolist() == [2, 3] and np.isnan(difference).all()
    assert np.isnan(lpips).all() and result["curve"].sizes["along"] == 2


def test_a_row_with_something_stands_beside_the_row_without(monkeypatch):
    csi = {"csi_decided_pooled": (("forecast", "threshold"), [[0.3, 0.2, 0.1], [0.2, 0.2, 0.2]])}
    csi |= {"csi_decided_pooled_difference": (("forecast", "threshold"), [[0, 0, 0], [0.1, 0, -0.1]])}
    crps = {
        "crps_fair_pooled": (("forecast",), [2.0, 3.0]),
        "crps_fair_pooled_difference": (("forecast",), [0.0, -1.0]),
    }
    interval = {"crps_fair_pooled_difference_interval": (("forecast", "bound"), [[0, 0], [-1.5, -0.5]])}
    scores = xr.Dataset(csi | crps | interval, {"threshold": [16.0, 74.0, 133.0]})
    monkeypatch.setattr("nowcast.experiments.beside.scores_of", lambda states, only: scores)
    made = [SimpleNamespace(variant=SimpleNamespace(name=name)) for name in ("a", "a, it", "b", "c, it")]
    pairs = beside(made, SimpleNamespace(sums=lambda one: None), ", it").assign_attrs(beside="it")
    assert pairs["pair"].values.tolist() == ["a"]
    lines = list(side_by_side(pairs))
    assert lines[:3] == [
        "| CRPS | without | with it | difference |",
        "| --- | ---: | ---: | ---: |",
        "| a | 3.000 | 2.000 | -1.000 (-1.500 to -0.500) |",
    ]
    assert "| a | 0.200 | 0.100 | -0.100 |" in lines
    assert not beside(made[2:], SimpleNamespace(), ", it")


def result(headings=("CSI", "LPIPS"), x=(np.nan, 0.0, 0.5)):
    names, shape = ["a", "b, 0", "b, 0.5"], (3, len(headings))
    score = np.where(np.array(headings) == "LPIPS", np.nan, np.linspace(0.1, 0.6, 3)[:, None])
    return xr.Dataset(
        {
            "score": (("row", "column"), score),
            "interval": (("row", "column", "bound"), np.stack([score - 0.05, score + 0.05], -1)),
            "published": (("row", "column"), np.full(shape, np.nan)),
            "curve": (("row", "column", "along"), np.repeat(score[..., None], 4, -1)),
        },
        {
            "row": names,
            "column": list(headings),
            "label": ("row", ["a", "b", "b"]),
            "x": ("row", list(x)),
            "along": ("along", [5.0, 10, 15, 20], {"long_name": "lead time", "units": "min"}),
        },
        {"title": "T", "command": "c", "machine": "m", "scope": "s", "differs": "d", "left_out": "", "sweep": "noise"},
    )


def test_a_table_has_the_papers_numbers_in_a_column_of_their_own_and_no_number_without_weights():
    one = result()
    one["published"][2, 0] = 0.672
    assert list(table(one)) == [
        "|  | CSI | CSI (paper) | LPIPS |",
        "| --- | ---: | ---: | ---: |",
        "| a | 0.100 (0.050 to 0.150) | - | needs weights |",
        "| b, 0 | 0.350 (0.300 to 0.400) | - | needs weights |",
        "| b, 0.5 | 0.600 (0.550 to 0.650) | 0.672 | needs weights |",
    ]
    page = markdown(one, "f.png")
    assert "--lpips-weights FILE" in page and "![T](f.png)" in page and "- d\n" in page


def test_names_of_rows_are_text_on_the_page():
    one = result().assign_coords(row=["<script>alert(1)</script>", "a | b", "c"])
    one.attrs["title"] = "<img src=x onerror=alert(1)>"
    page = markdown(one, "f.png")
    assert "<" not in page and "&lt;script>alert(1)" in page and "| a \\| b |" in page


def test_figures_draw_what_has_a_value():
    one = result()
    one["published"][0, 0] = 0.2
    figure = dots(one)
    assert [ax.get_title() for ax in figure.axes] == ["CSI ↑"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b, 0", "b, 0.5"]
    offsets = figure.axes[0].collections[-1].get_offsets().data
    assert offsets[0].tolist() == [0.2, 0]  # the paper's diamond
    (ax,) = leads(one).axes
    assert (
        len(ax.lines) == 3 and ax.lines[1].get_ydata().tolist() == [0.35] * 4 and ax.get_xlabel() == "lead time (min)"
    )
    (ax,) = sweep(one).axes
    across, curve = ax.lines
    assert across.get_ydata() == [0.1, 0.1] and curve.get_xdata().tolist() == [0, 0.5] and ax.get_xlabel() == "noise"
    nothing = dots(result(("LPIPS",)))
    assert [text.get_text() for text in nothing.axes[0].texts] == ["no value"]


def test_errors_accumulate_over_lead_times_at_each_column_of_pixels():
    forecast = xr.DataArray(np.zeros((1, 2, 2, 1, 3)), dims=("case", "member", "lead_time", "y", "x"))
    forecast[0, :, 0, 0, 1] = [2, 4]
    observed = xr.DataArray(np.zeros((1, 2, 1, 3)), dims=("case", "lead_time", "y", "x"))
    observed[0, 1, 0, 1], observed[0, 0, 0, 2] = 5, np.nan
    assert accumulated_error(forecast, observed).tolist() == [0, 8, 0]


def test_a_budget_is_shared_in_the_proportions_of_the_configuration(toy_config):
    stages = {"gain": StageConfig(steps=100, batch=1), "offset": StageConfig(steps=300, batch=1)}
    config = toy_config.model_copy(update={"stages": stages})
    assert allowed_steps(config, {"gain": 0.1, "offset": 0.2}, 7) == {"gain": 600, "offset": 1800}
    assert allowed_steps(config, {"gain": 1e4, "offset": 1e4}, 7) == {"gain": 1, "offset": 1}
