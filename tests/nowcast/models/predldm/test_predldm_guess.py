"""What goes beyond the paper: first guesses, the ensemble stage, large domains, and the fast paths."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from nowcast.extrapolation.first_guess import first_guess
from nowcast.models.forecaster import Cases
from nowcast.models.network import Batch, TrainedForecaster
from nowcast.models.predldm.network import PredLDM
from nowcast.models.predldm.settings import PredLDMSettings

SETTINGS = {
    "history": 4,
    "lead": 3,
    "side": 32,
    "offset": 0.0,
    "scale": 50.0,
    "first_guess": "sprog",
    "frame_vae": {"factor": 8, "latent_channels": 4, "channels": (8,), "layers": 1},
    "mtvae": {"hidden": 16, "layers": 1, "heads": 2},
    "denoiser": {"hidden": 32, "blocks": 2, "heads": 2, "patch": 2, "context_frames": 2},
    "objective": "flow",
    "sampling": {"sampler": "euler", "steps": 1, "member_batch": 4},
    "ensemble": {"members": 3, "blocks": (1, 4)},
}


def build(**changes) -> PredLDM:
    torch.manual_seed(0)
    network = PredLDM(PredLDMSettings(**{**SETTINGS, **changes}))
    for parameter in network.denoiser.parameters():  # away from its silent start
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> PredLDM:
    return build()


def storm(height: int = 32, width: int = 32, cases: int = 1, frames: int = 4) -> torch.Tensor:
    """A storm on its way, counts (cases, frames, height, width)."""
    row, column = np.mgrid[:height, :width]
    path = [
        [120 * np.exp(-((row - 10 - k) ** 2 + (column - 12 - case - 2 * k) ** 2) / 40) for k in range(frames)]
        for case in range(cases)
    ]
    return torch.tensor(np.array(path)).float().where(torch.tensor(np.array(path)) >= 6, torch.zeros(()))


def observed(counts: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(counts, dtype=torch.bool)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(("kind", "name"), [("advection", "advected"), ("sprog", "sprog")])
def test_where_nothing_is_left_to_predict_the_forecast_is_the_first_guess(kind, name):
    network = build(first_guess=kind)
    network.rest_std.zero_()
    history = storm()
    members = network.generate(network.condition(history, observed(history)), 3, [generators(0, 1)])
    expected = getattr(first_guess(history.numpy(), observed(history).numpy(), 3, minutes=5, km=3), name)
    expected = np.where(expected < 5.5, 0, expected)
    for member in members[0]:
        np.testing.assert_allclose(member.numpy(), expected[0], atol=2e-3)


def test_where_nothing_is_left_to_predict_each_member_is_its_own_first_guess():
    network = build(first_guess="steps")
    network.rest_std.zero_()
    history = storm(cases=2)
    condition = network.condition(history, observed(history))
    members = network._members(condition, [generators(0, 1), generators(2, 3)])
    noise = generators(0, 1, 2, 3)
    for generator in noise:
        torch.randn(3, 4, 4, 4, generator=generator)  # what the denoiser starts from is drawn first
    own = condition.guess.draw([noise[:2], noise[2:]])
    torch.testing.assert_close(members, own, atol=2e-3, rtol=1e-4)
    assert (own[:, 0] - own[:, 1]).abs().mean() > 0.5


def test_what_is_far_from_the_echo_of_a_guess_is_not_corrected():
    """Wholly within 8 pixels of it, not at all from 24 on, and by half in the middle between."""
    network = build()
    history = torch.zeros(1, 4, 32, 48)
    history[:, :, :, 4] = 60.0
    condition = network.condition(history, observed(history))
    network._decode = lambda z: torch.full((*z.shape[:-3], 32, 48), 50.0)
    condition = condition._replace(guess=condition.guess._replace(decoded=torch.zeros(1, 3, 32, 48)))
    members = network._members(condition, [generators(0)])[0, 0]
    added = members - condition.guess.counts[0]
    echo = condition.guess.counts[0] >= 5.5
    assert (echo.any(-1) & ~echo[:, :, 10:].any(-1)).all()
    last = 47 - echo.flip(-1).float().argmax(-1)
    for frame in range(3):
        edge = int(last[frame, 16])
        assert (added[frame, 16, : edge + 9] == 50).all() and (added[frame, 16, edge + 24 :] == 0).all()
        assert added[frame, 16, edge + 16] == pytest.approx(25)


def test_the_denoiser_is_told_of_each_members_own_guess():
    network = build(first_guess="steps")
    history = storm()
    condition = network.condition(history, observed(history))
    noise = torch.zeros(2, 3, 4, 4, 4)
    drawn = torch.zeros(2, 3, 64, 4, 4)
    drawn[1, :, :, :2] = 1.0
    z = network._sample(noise, condition.contexts[0], drawn, generators(0, 1))
    assert (z[0] - z[1]).abs().mean() > 0.01


@pytest.mark.parametrize("stage", ["diffusion", "ensemble"])
def test_every_stage_takes_members_own_guesses(stage):
    network = build(first_guess="steps")
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:]
    batch = Batch(history, observed(history), future, observed(future))
    network.begin(stage, [batch])
    assert (network.latent_std != 1).all()
    assert network.loss(stage, batch, torch.Generator().manual_seed(0))["loss"].isfinite()


def test_where_a_history_has_no_echo_the_forecast_is_the_first_guess(network):
    history = torch.cat([torch.zeros_like(storm()), storm()])
    members = network.generate(network.condition(history, observed(history)), 3, [generators(0, 1), generators(2, 3)])
    assert not members[0].any() and members[1].any()


def test_scales_of_what_is_left_are_measured_by_lead_time(network):
    history, future = storm(cases=4), storm(cases=4, frames=7)[:, 4:]
    network.begin("diffusion", [Batch(history, observed(history), future, observed(future))])
    z, _ = network._encode(future, observed(future))
    rest = z - network._guess(history, observed(history)).base
    torch.testing.assert_close(network.rest_std[:, :, 0, 0], rest.std((0, 3, 4), correction=0), atol=1e-4, rtol=1e-3)
    network.rest_std.fill_(1)


def test_the_ensemble_stage_lowers_the_crps_of_what_it_is_trained_on():
    network = build()
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:] * 0.5
    batch = Batch(history, observed(history), future, observed(future))
    network.denoiser.requires_grad_(True).train()
    optimizer = torch.optim.Adam(network.denoiser.parameters(), lr=3e-3)
    losses = []
    for step in range(40):
        loss = network.loss("ensemble", batch, torch.Generator().manual_seed(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_ensemble_loss_by_hand(network, monkeypatch):
    """Members of 10, 20 and 30 where 16 came: 8 off and 40 / 6 apart, so 4 / 3; persistence of 12 is 4 off."""
    asked = []

    def members(condition, generators):
        asked.append([len(ones) for ones in generators])
        return torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1, 1).expand(2, 3, 3, 32, 32)

    monkeypatch.setattr(network, "_members", members)
    history, future = torch.full((2, 4, 32, 32), 12.0), torch.full((2, 3, 32, 32), 16.0)
    batch = Batch(history, observed(history), future, observed(future))
    losses = network.loss("ensemble", batch, torch.Generator())
    assert asked == [[3, 3]]
    assert losses["crps_1"].item() == pytest.approx(4 / 3) == losses["crps_4"].item()
    assert losses["loss"].item() == pytest.approx(4 / 3 / (4 + 1))


def test_the_diffusion_stage_learns_what_each_members_own_guess_leaves(monkeypatch):
    network = build(first_guess="steps")
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:]
    batch = Batch(history, observed(history), future, observed(future))
    targets = []
    monkeypatch.setattr(network, "_denoising_loss", lambda x0, *_: targets.append(x0) or x0.mean())
    network.loss("diffusion", batch, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    network.objective.draw_times(2, generator)
    own = network._guess(history, observed(history)).draw([[generator], [generator]])[:, 0]
    left = network._encode(future, observed(future))[0] - network._encode(own, observed(future))[0]
    torch.testing.assert_close(targets[0], left)


def test_missing_future_carries_no_weight_in_the_ensemble_loss(network):
    history, future = storm(), storm(frames=7)[:, 4:]
    seen = observed(future)
    seen[:, :, 8:16] = False
    wild = future.where(seen, torch.tensor(200.0))
    one, two = (
        network.loss("ensemble", Batch(history, observed(history), x, seen), torch.Generator().manual_seed(0))["loss"]
        for x in (future, wild)
    )
    assert one == two


def test_a_warmer_start_spreads_the_members_more():
    history = storm()
    spread = []
    for temperature in (0.5, 1.0, 1.5):
        network = build(echo=0.0, sampling={**SETTINGS["sampling"], "temperature": temperature})
        members = network.generate(network.condition(history, observed(history)), 3, [generators(*range(6))])
        spread.append(members.std(1).mean().item())
    assert spread == sorted(spread) and spread[2] > 1.2 * spread[0]


def test_temperature_changes_evenly_over_the_lead_times_and_not_in_training():
    history, future = storm(), storm(frames=7)[:, 4:]
    batch = Batch(history, observed(history), future, observed(future))
    starts = []
    for temperature in (1.0, (2.0, 1.0)):
        network = build(sampling={**SETTINGS["sampling"], "temperature": temperature})
        network._sample = lambda noise, *_: starts.append(noise) or torch.zeros_like(noise)
        network.generate(network.condition(history, observed(history)), 3, [generators(0, 1)])
        network.loss("ensemble", batch, torch.Generator().manual_seed(0))
    plain, trained, ramp, trained_as_well = starts
    torch.testing.assert_close(ramp, plain * torch.tensor([2.0, 1.5, 1.0]).view(-1, 1, 1, 1))
    assert torch.equal(trained, trained_as_well)


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), [1.0], [1.0, 0.0], [1.0, 1.0, 1.0], "warm"])
def test_a_wrong_temperature_is_refused(wrong):
    with pytest.raises(ValueError, match="temperature"):
        build(sampling={**SETTINGS["sampling"], "temperature": wrong})


def test_a_larger_domain_is_one_field_without_seams(network):
    history = storm(48, 72)
    members = network.generate(network.condition(history, observed(history)), 3, [generators(0, 1)])
    assert members.shape == (1, 2, 3, 48, 72)
    smooth = torch.full_like(history, 60.0)
    condition = network.condition(smooth, observed(smooth))
    flat = network._members(condition, [generators(*range(8))])[0, :, 0]
    steps = (flat[..., 1:] - flat[..., :-1]).abs().mean((0, 1))
    within = {8 * place - 1 for place in range(1, 9)}  # an untrained decoder has steps between all latent locations
    borders = {8 * edge - 1 for tile in condition.tiles for edge in (tile.column, tile.column + tile.side)} & within
    assert len(borders) == 4
    mean = {name: np.mean([steps[place] for place in places]) for name, places in
            (("borders", borders), ("others", within - borders))}  # fmt: skip
    assert mean["borders"] < 1.15 * mean["others"]


def test_a_domain_of_no_whole_latents_is_padded_and_cut(network):
    history = storm(37, 45)
    members = network.generate(network.condition(history, observed(history)), 2, [generators(0)])
    assert members.shape == (1, 1, 2, 37, 45) and members.isfinite().all()


@pytest.mark.parametrize("kind", ["sprog", "steps"])
def test_members_of_some_cases_at_once_are_those_made_one_by_one(kind):
    network = build(first_guess=kind)
    history = storm(cases=2)
    condition = network.condition(history, observed(history))
    together = network._members(condition, [generators(1, 2), generators(3, 4)])
    for case, seeds in enumerate([(1, 2), (3, 4)]):
        one = history[case : case + 1]
        guess = network._guess(one, observed(one))
        context = network.denoiser.context(*network._encode(one, observed(one)), guess.told)
        for member, seed in enumerate(seeds):
            (generator,) = generators(seed)
            noise = torch.randn(1, 3, 4, 4, 4, generator=generator)
            own = guess.draw([[generator]])[:, 0]
            drawn = pixel_unshuffle((own - guess.counts)[:, :, None] / 50, 8) if kind == "steps" else None
            velocity = network.denoiser(noise, torch.tensor([1000.0]), context, drawn)  # Euler's one step from t = 1000
            correction = network._decode(guess.base + noise - velocity) - guess.decoded
            plain = own + correction * guess.near_echo(own)
            torch.testing.assert_close(together[case, member], plain[0], atol=1e-3, rtol=1e-4)


def test_each_tile_is_told_of_its_own_part_of_the_domain():
    network = build(first_guess="steps")
    history = storm(48, 72)
    condition = network.condition(history, observed(history))
    made, sample = [], network._sample
    network._sample = lambda *inputs: made.append(sample(*inputs)) or made[-1]
    network._members(condition, [generators(1)])
    (generator,) = generators(1)
    noise = torch.randn(1, 3, 4, 6, 9, generator=generator)
    guess = condition.guess
    drawn = pixel_unshuffle((guess.draw([[generator]])[:, 0] - guess.counts)[:, :, None] / 50, 8)
    z, valid = network._encode(history, observed(history))
    assert len(made) == len(condition.tiles) > 3
    for tile, rest in zip(condition.tiles, made, strict=True):
        place = (..., slice(tile.row, tile.row + 4), slice(tile.column, tile.column + 4))
        context = network.denoiser.context(z[place], valid[place], guess.told[place])
        velocity = network.denoiser(noise[place], torch.tensor([1000.0]), context, drawn[place])
        torch.testing.assert_close(rest, noise[place] - velocity, atol=1e-4, rtol=1e-4)


def _cases(history: torch.Tensor) -> Cases:
    frames = history.numpy()
    return Cases(frames, np.ones(frames.shape, bool), tuple(f"E{n}@t" for n in range(len(frames))), 5.0)


def test_members_from_a_kept_condition_are_those_from_a_new_one(network):
    cases, others = _cases(storm()), _cases(storm() * 0.9)
    forecaster = TrainedForecaster(network)
    forecaster.bf16 = False
    forecaster.predict(cases, 3, [0, 1], 7)
    kept = forecaster.predict(cases, 3, [2, 3], 7)
    forecaster.predict(others, 3, [2, 3], 7)
    again = forecaster.predict(cases, 3, [2, 3], 7)
    fresh = TrainedForecaster(network)
    fresh.bf16 = False
    whole = fresh.predict(cases, 3, [0, 1, 2, 3], 7)[:, 2:]
    np.testing.assert_allclose(kept, again, atol=1e-3)
    np.testing.assert_allclose(kept, whole, atol=1e-3)


def test_sixteen_bits_change_members_by_less_than_half_a_count(network):
    cases = _cases(storm())
    exact, fast = TrainedForecaster(network), TrainedForecaster(network)
    exact.bf16, fast.bf16 = False, True
    difference = np.abs(exact.predict(cases, 3, [0, 1], 7) - fast.predict(cases, 3, [0, 1], 7))
    assert 0 < difference.mean() < 0.5
