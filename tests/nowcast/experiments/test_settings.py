"""The experiments and scales of configs/experiments."""

import re

import pytest

from nowcast.experiments.run import FIGURES, MEASURES
from nowcast.experiments.settings import SCALES, expand, experiment_names, load_experiment, load_scale, merged
from nowcast.models import MODELS, build_network, is_trainable, model_class
from pipelines.errors import InputError

# The corrector is of our own and in no table of the paper: it begins from members of `steps`, on scenes.
NETWORKS = [name for name in MODELS if is_trainable(model_class(name)) and name != "corrector"]
OTHERS = [name for name in MODELS if not is_trainable(model_class(name))]


def test_there_is_an_experiment_for_every_table_and_figure_and_the_budget():
    numbers = [*(f"table{n}" for n in range(1, 7)), *(f"figure{n}" for n in (2, 3, 4, 5, 6, 9, 11, 12, 13))]
    assert sorted([*numbers, "budget"]) == experiment_names()


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_has_known_parts_and_its_references(name):
    experiment = load_experiment(name)
    assert experiment.measure in MEASURES and experiment.figure in FIGURES and experiment.columns["radar"]
    models = {row.model for row in experiment.rows}
    assert {"references", "shipped"} <= models
    if experiment.measure != "costs":
        assert {"CRPS", "spread/skill"} <= set(experiment.columns["radar"])
    labels = {row.label for row in experiment.rows} | {"pvdm", *MODELS}
    for published in experiment.published.values():
        assert set(published) <= labels
        assert {heading for row in published.values() for heading in row} <= set(experiment.columns["radar"]) | set(
            experiment.columns.get("video", ())
        )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["radar", "video"])
def test_every_network_has_a_row_and_settings_that_build_it(scale, kind):
    variants, lacking = expand(load_experiment("table1"), load_scale(scale), kind)
    assert [v.model for v in variants if v.config] == NETWORKS and not lacking
    assert [v.model for v in variants if not v.config] == [*OTHERS, "shipped"]
    for variant in variants if scale == "tiny" else ():
        if variant.config:
            network = build_network(variant.model, variant.config.network, pretrained=False)
            assert sum(p.numel() for p in network.parameters()) < 600_000
            assert (network.settings.echo == 0) == (kind == "video")
            assert all(stage.steps == 12 for stage in variant.config.stages.values())


def test_rows_of_one_table_see_the_same_windows():
    for scale in ("tiny", "small"):
        variants, _ = expand(load_experiment("budget"), load_scale(scale), "radar")
        told = ("augment", "reverse", "cadence", "least_echo", "liquid", "seed")
        seen = {tuple(getattr(v.config, key) for key in told) for v in variants if v.config}
        assert len(seen) == 1


def test_a_sweep_repeats_the_rows_it_concerns():
    scale = load_scale("tiny")
    variants, _ = expand(load_experiment("figure6"), scale, "radar", ["persistence", "predldm"])
    assert [v.x for v in variants] == [None, *(n / 10 for n in range(10))]
    assert [v.config.network["mtvae"]["mask_ratio"] for v in variants[1:]] == [n / 10 for n in range(10)]
    assert len({v.name for v in variants}) == 11
    stopped, _ = expand(load_experiment("figure5"), scale, "radar", ["predldm"])
    assert [v.sampling for v in stopped] == [{"stop": value} for value in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert len({v.config.model_dump_json() for v in stopped}) == 1
    noisy, _ = expand(load_experiment("figure12"), scale, "radar", ["persistence"])
    assert [v.noise for v in noisy] == [0.0, 0.05, 0.1, 0.15, 0.2]


def test_every_sampled_network_can_be_stopped_on_the_way():
    sampled = {name: model_class(name).Settings().sampling for name in NETWORKS if _is_sampled(name)}
    assert {"predldm", "mcvd", "pvdm"} <= set(sampled)
    assert all(sampling.stop == 1 for sampling in sampled.values())
    figure5 = {row.model for row in load_experiment("figure5").rows}
    assert set(sampled) <= figure5


def _is_sampled(name):
    return "sampling" in model_class(name).Settings.model_fields


def test_the_variants_of_the_loss_share_the_first_stage():
    variants, _ = expand(load_experiment("table4"), load_scale("tiny"), "radar", ["predldm"])
    assert len({v.base.model_dump_json() for v in variants}) == 1
    assert [v.config.network["loss_weights"][0] for v in variants] == [0.1, 0.25, 0.5, 0.75, 1.0]


def test_first_guesses_are_given_to_every_network():
    variants, _ = expand(load_experiment("budget"), load_scale("tiny"), "radar")
    guesses = {v.label: v.config.network.get("first_guess") for v in variants if v.config}
    assert {f"{name}, first guess" for name in NETWORKS} == {label for label, g in guesses.items() if g == "sprog"}
    assert guesses["predldm, our first guess"] == "steps" and guesses["predldm"] is None
    for variant in variants:
        if variant.config:
            model_class(variant.model).Settings(**variant.config.network)


def test_settings_are_merged_section_by_section():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}}) == {
        "a": {"b": 1, "c": 4},
        "d": {"e": 5},
    }


def test_an_unknown_experiment_lists_the_known_ones():
    with pytest.raises(InputError, match=re.escape("one of budget, figure11,")):
        load_experiment("table7")
    with pytest.raises(InputError, match="one of paper, small, tiny"):
        load_scale("large")


def test_a_model_without_a_configuration_is_named(monkeypatch):
    scale = load_scale("tiny").model_copy(update={"configs": {"unet": "none-such"}})
    variants, lacking = expand(load_experiment("table1"), scale, "radar", ["unet", "convlstm"])
    assert [v.model for v in variants] == ["convlstm"]
    assert lacking == ["unet is left out: no configuration 'none-such'"]
