"""Experiments from their settings to table, numbers and figure, at the smallest size."""

import numpy as np
import pytest
import xarray as xr

from nowcast.experiments import bench, results, run, runs
from nowcast.forecasting.costs import Cost
from pipelines.errors import InputError

TABLE = {
    "rows": [{"model": "persistence"}, {"model": "toy", "label": "ours"}],
    "columns": {"radar": ["CSI", "CRPS", "LPIPS"]},
    "published": {"sevir": {"toy": {"CSI": 0.672}}},
}


def test_an_experiment_writes_a_table_numbers_and_a_figure(experiment):
    made = experiment(TABLE, command="nowcast experiment made")
    with xr.open_dataset(made.numbers) as result:
        assert result["row"].values.tolist() == ["persistence", "ours"]
        score = result["score"].sel(column="CRPS").values
        assert np.isfinite(score).all() and (score > 0).all()
        low, high = result["interval"].sel(column="CRPS").values.T
        assert (low <= score).all() and (score <= high).all()
        assert np.isnan(result["score"].sel(column="LPIPS")).all()
        assert result["published"].sel(row="ours", column="CSI") == 0.672 and np.isnan(result["published"][0]).all()
        assert result["training_steps"].values.tolist()[1] == 4 and result["members"].values.tolist() == [1, 2]
        assert result["curve"].sizes["along"] == 10
    page = made.table.read_text()
    assert "| CSI | CSI (paper) | CRPS | LPIPS |" in page and "needs weights" in page and "alexnet" in page.lower()
    assert "nowcast experiment made" in page and "sevir-128-10-10" in page and "cores" in page
    assert made.figure.stat().st_size > 10_000


def test_what_is_done_is_not_done_again(experiment, monkeypatch):
    made = experiment(TABLE)

    def refuse(*args, **settings):
        raise AssertionError("done again")

    monkeypatch.setattr(runs, "train", refuse)
    monkeypatch.setattr(bench, "write_forecast", refuse)
    monkeypatch.setattr(bench.verification, "states", refuse)
    again = experiment({**TABLE, "rows": TABLE["rows"][::-1]}, name="again")
    with xr.open_dataset(again.numbers) as result:
        assert result["row"].values.tolist() == ["ours", "persistence"]
        with xr.open_dataset(made.numbers) as before:
            xr.testing.assert_equal(result.sel(row=before["row"]), before)


STEPS = [
    (runs, "train"),
    (bench, "write_forecast"),
    (bench.verification, "states"),
    (results, "scores_of"),
    (run, "dots"),
]


def test_a_killed_experiment_is_resumed_and_ends_as_if_it_had_not_been(experiment, monkeypatch, tmp_path):
    for where, step in STEPS:
        with monkeypatch.context() as patch:
            patch.setattr(where, step, killed)
            with pytest.raises(KeyboardInterrupt):
                experiment(TABLE, tmp_path / "killed")
        assert not (tmp_path / "killed" / "made.md").exists()
    resumed, whole = experiment(TABLE, tmp_path / "killed"), experiment(TABLE, tmp_path / "whole")
    with xr.open_dataset(whole.numbers) as one, xr.open_dataset(resumed.numbers) as two:
        xr.testing.assert_equal(one.drop_vars("training_minutes"), two.drop_vars("training_minutes"))


def killed(*args, **settings):
    raise KeyboardInterrupt


def test_rows_that_differ_after_the_first_stage_share_it(experiment, monkeypatch):
    stages = []
    real = runs.train

    def noted(config, stores, run, **more):
        stages.append((more["stage"], run.name))
        return real(config, stores, run, **more)

    monkeypatch.setattr(runs, "train", noted)
    rows = [{"model": "toy", "label": str(gain), "later": {"sampling": {"gain": gain}}} for gain in (1.0, 2.0)]
    experiment({"rows": rows, "columns": {"radar": ["CRPS"]}})
    assert [stage for stage, _ in stages] == ["gain", "offset", "offset"]
    assert len({run for _, run in stages}) == 3


def test_a_row_that_cannot_be_made_is_named_and_left_out(experiment, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    bad = {"model": "toy", "label": "bad", "network": {"history": 10, "rate_of_nan": 1.0}}
    rows = [{"model": "persistence"}, bad, {"model": "pysteps"}, {"model": "nothing"}]
    said = []
    made = experiment({"rows": rows, "columns": {"radar": ["CRPS", "CRPS - STEPS"]}}, tell=said.append)
    page = made.table.read_text()
    assert "bad is left out: the loss of stage gain is nan" in page and "It needs a row of STEPS" in page
    assert "pysteps is left out: pysteps is not installed; pip install pysteps" in page
    assert "nothing is left out: no model 'nothing'" in page
    assert any(line.startswith("bad is left out") for line in said)
    assert [one.variant.label for one in made.made] == ["persistence"]
    with pytest.raises(InputError, match="made has no row"):
        experiment({"rows": [bad], "columns": {"radar": ["CRPS"]}})


def test_a_budget_decides_the_steps_once(experiment, tmp_path):
    out = tmp_path / "out"
    table = {"rows": [{"model": "toy"}], "columns": {"radar": ["CRPS"]}}
    made = experiment(table, out, budget=0.02)
    steps = made.made[0].trained.steps
    (decided,) = out.glob("runs/*/budget.json")
    decided.write_text('{"gain": 3, "offset": 4}')
    for file in out.glob("runs/*/done.json"):
        file.unlink()
    for file in out.glob("runs/*/*.safetensors"):
        file.unlink()
    assert experiment(table, out, budget=0.02).made[0].trained.steps == 7 and steps > 2
    assert not list(out.glob("runs/.*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"columns": {"radar": ["CRPZ"]}}, "no column 'CRPZ'"),
        ({"rows": [{"model": "toy"}], "columns": {"video": ["SSIM"]}}, "no columns for a store of radar"),
        ({"rows": [{"model": "toy", "network": {"widths": 3}}]}, "widths"),
    ],
)
def test_wrong_experiments_are_one_line(experiment, content, said):
    with pytest.raises(InputError, match=said):
        experiment({**TABLE, **content})
    with pytest.raises(InputError, match="made has no model 'x'"):
        experiment(TABLE, models=["x"])


def test_other_measures_and_figures_are_made_from_the_same_runs_and_forecasts(experiment, monkeypatch):
    base = {
        "rows": [{"model": "persistence"}, {"model": "toy"}],
        "columns": {"radar": ["MAE", "spread/skill"]},
    }
    places = experiment({**base, "measure": "along_x", "figure": "leads"}, name="places")
    monkeypatch.setattr(runs, "train", killed)  # nothing is trained from here on
    with xr.open_dataset(places.numbers) as result:
        curve = result["curve"].sel(column="MAE")
        assert result["along"].size == 16 and curve.notnull().all()
        assert np.allclose(curve.mean("along") / 10, result["score"].sel(column="MAE"), rtol=0.05)
    for figure in ("samples", "spreads"):
        assert experiment({**base, "figure": figure}, name=figure).figure.stat().st_size > 10_000
    sweep = {"setting": "noise", "label": "noise", "values": [0.0, 0.3]}
    noisy = experiment({**base, "sweep": sweep, "figure": "sweep"}, name="noisy")
    with xr.open_dataset(noisy.numbers) as result:
        calm, rough = result["score"].sel(row=["persistence, 0", "persistence, 0.3"], column="MAE").values
        assert result["x"].values.tolist() == [0, 0.3, 0, 0.3] and calm < rough
    sampled = {"setting": "sampling.gain", "label": "gain", "values": [0.0, 50.0]}
    with xr.open_dataset(experiment({**base, "sweep": sampled, "figure": "sweep"}, name="gain").numbers) as result:
        assert result["row"].values.tolist() == ["persistence", "toy, 0", "toy, 50"]
        still, lively = result["score"].sel(row=["toy, 0", "toy, 50"], column="spread/skill").values
        assert still == 0 and lively > 0.1
    longer = experiment({**base, "lead": 15, "figure": "leads"}, name="longer")
    with xr.open_dataset(longer.numbers) as result:
        assert result["along"].values.tolist() == [5 * n for n in range(1, 16)]


def test_costs_are_measured_without_training(experiment, monkeypatch):
    monkeypatch.setattr("nowcast.experiments.costing.cost", lambda *told: Cost(2.0, 3e6, 0.5, 1.0))
    headings = ["GFLOPs", "M parameters", "s per sequence", "peak GiB"]
    made = experiment({"rows": TABLE["rows"], "measure": "costs", "columns": {"radar": headings}})
    with xr.open_dataset(made.numbers) as result:
        assert result["score"].values.tolist() == [[2, 3, 0.5, 1]] * 2
    assert "Nothing is trained." in made.table.read_text()
    with pytest.raises(InputError, match="makes no forecasts"):
        made.scored()
