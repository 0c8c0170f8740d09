"""Parts beyond the paper: first guesses, the ensemble stage, large domains, and the fast paths."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from nowcast.extrapolation.first_guess import first_guess
from nowcast.models.forecaster import Cases
from nowcast.models.frames import Clip, clip_of
from nowcast.models.network import Batch, Draws
from nowcast.models.predldm.network import PredLDM
from nowcast.models.predldm.settings import PredLDMSettings
from nowcast.models.trained import TrainedForecaster

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


def clip(network: PredLDM, counts: torch.Tensor, seen: torch.Tensor | None = None, *, guess: bool = True) -> Clip:
    """Counts (B, T, H, W) as the network sees them, with the first guesses that it asks for."""
    settings, seen = network.settings, observed(counts) if seen is None else seen
    made = clip_of(counts.numpy(), seen.numpy(), settings.frame_scale)
    return made._replace(guess=settings.guess(counts.numpy(), seen.numpy(), 5.0, 3.0) if guess else None)


def batch_of(network: PredLDM, history: torch.Tensor, future: torch.Tensor, seen: torch.Tensor | None = None) -> Batch:
    return Batch(clip(network, history), clip(network, future, seen, guess=False))


def draws(cases: int, seed: int = 0) -> Draws:
    return Draws([[torch.Generator().manual_seed(100 * seed + case)] for case in range(cases)])


def counts_of(x: torch.Tensor) -> torch.Tensor:
    """Counts (B, M, lead, H, W) of members in network units."""
    return 50 * x[:, :, :, 0]


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(("kind", "name"), [("advection", "advected"), ("sprog", "sprog")])
def test_where_nothing_is_left_to_predict_the_forecast_is_the_first_guess(kind, name):
    network = build(first_guess=kind)
    network.rest_std.zero_()
    history = storm()
    members = counts_of(network.generate(network.condition(clip(network, history)), Draws([generators(0, 1)])))
    expected = getattr(first_guess(history.numpy(), observed(history).numpy(), 3, minutes=5, km=3), name)
    for member in members[0]:
        np.testing.assert_allclose(member.numpy(), expected[0], atol=2e-3)


def test_where_nothing_is_left_to_predict_each_member_is_its_own_first_guess():
    network = build(first_guess="steps")
    network.rest_std.zero_()
    history = storm(cases=2)
    condition = network.condition(clip(network, history))
    members = counts_of(network.members(condition, Draws([generators(0, 1), generators(2, 3)])))
    noise = generators(0, 1, 2, 3)
    for generator in noise:
        torch.randn(3, 4, 4, 4, generator=generator)  # what the denoiser starts from is drawn first
    own = counts_of(condition.guess.guess.draw([noise[:2], noise[2:]]))
    torch.testing.assert_close(members, own, atol=2e-3, rtol=1e-4)
    assert (own[:, 0] - own[:, 1]).abs().mean() > 0.5


def test_what_is_far_from_the_echo_of_a_guess_is_not_corrected():
    """Wholly within 8 pixels of it, not at all from 24 on, and by half in the middle between."""
    network = build()
    history = torch.zeros(1, 4, 32, 48)
    history[:, :, :, 4] = 60.0
    condition = network.condition(clip(network, history))
    network.decode = lambda z: torch.full((*z.shape[:-3], 1, 32, 48), 1.0)
    condition = condition._replace(guess=condition.guess._replace(decoded=torch.zeros(1, 3, 1, 32, 48)))
    members = counts_of(network.members(condition, Draws([generators(0)])))[0, 0]
    best = 50 * condition.guess.guess.best[0, :, 0]
    added = (members - best).round(decimals=3)
    echo = best >= 5.5
    assert (echo.any(-1) & ~echo[:, :, 10:].any(-1)).all()
    last = 47 - echo.flip(-1).float().argmax(-1)
    for frame in range(3):
        edge = int(last[frame, 16])
        assert (added[frame, 16, : edge + 9] == 50).all() and (added[frame, 16, edge + 24 :] == 0).all()
        assert added[frame, 16, edge + 16] == pytest.approx(25)


def test_the_denoiser_is_told_of_each_members_own_guess():
    network = build(first_guess="steps")
    history = storm()
    condition = network.condition(clip(network, history))
    noise = torch.zeros(2, 3, 4, 4, 4)
    drawn = torch.zeros(2, 3, 64, 4, 4)
    drawn[1, :, :, :2] = 1.0
    z = network._denoised(condition, noise, drawn, Draws([generators(0, 1)]))
    assert (z[0] - z[1]).abs().mean() > 0.01


@pytest.mark.parametrize("stage", ["diffusion", "ensemble"])
def test_every_stage_takes_members_own_guesses(stage):
    network = build(first_guess="steps")
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:]
    batch = batch_of(network, history, future)
    network.stages[stage].begin([batch])
    assert (network.latent_std != 1).all()
    assert network.stages[stage].loss(batch, draws(2))["loss"].isfinite()


def test_where_a_history_has_no_echo_the_forecast_is_the_first_guess(network):
    history = torch.cat([torch.zeros_like(storm()), storm()])
    seeds = Draws([generators(0, 1), generators(2, 3)])
    members = network.generate(network.condition(clip(network, history)), seeds)
    assert not members[0].any() and members[1].any()


def test_scales_of_what_is_left_are_measured_by_lead_time(network):
    history, future = storm(cases=4), storm(cases=4, frames=7)[:, 4:]
    batch = batch_of(network, history, future)
    network.stages["diffusion"].begin([batch])
    rest = network.encode(batch.future)[0] - network.encode_guess(batch.history.guess).base
    torch.testing.assert_close(network.rest_std[:, :, 0, 0], rest.std((0, 3, 4), correction=0), atol=1e-4, rtol=1e-3)
    network.rest_std.fill_(1)


def test_the_ensemble_stage_lowers_the_crps_of_what_it_is_trained_on():
    network = build()
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:] * 0.5
    batch = batch_of(network, history, future)
    network.denoiser.requires_grad_(True).train()
    optimizer = torch.optim.Adam(network.denoiser.parameters(), lr=3e-3)
    losses = []
    for step in range(40):
        loss = network.stages["ensemble"].loss(batch, draws(2, step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_ensemble_loss_by_hand(network, monkeypatch):
    """Members of 10, 20 and 30 where 16 came: 8 off and 40 / 6 apart, so 4 / 3; persistence of 12 is 4 off."""
    asked = []

    def members(condition, draws):
        asked.append([len(ones) for ones in draws.generators])
        return (torch.tensor([10.0, 20.0, 30.0]) / 50).view(1, 3, 1, 1, 1, 1).expand(2, 3, 3, 1, 32, 32)

    monkeypatch.setattr(network, "members", members)
    history, future = torch.full((2, 4, 32, 32), 12.0), torch.full((2, 3, 32, 32), 16.0)
    losses = network.stages["ensemble"].loss(batch_of(network, history, future), draws(2))
    assert asked == [[3, 3]]
    assert losses["crps_1"].item() == pytest.approx(4 / 3) == losses["crps_4"].item()
    assert losses["loss"].item() == pytest.approx(4 / 3 / (4 + 1))


def test_the_diffusion_stage_learns_what_each_members_own_guess_leaves(monkeypatch):
    network = build(first_guess="steps")
    history, future = storm(cases=2), storm(cases=2, frames=7)[:, 4:]
    batch, stage = batch_of(network, history, future), network.stages["diffusion"]
    targets = []
    monkeypatch.setattr(stage, "_denoising", lambda x0, *_: targets.append(x0) or x0.mean())
    stage.loss(batch, draws(2))
    seeds = draws(2)
    network.objective.draw_times(seeds.cases)
    own = batch.history.guess.draw(seeds.generators)[:, 0]
    left = network.encode(batch.future)[0] - network.encode(Clip(own, batch.future.observed))[0]
    torch.testing.assert_close(targets[0], left)


def test_missing_future_carries_no_weight_in_the_ensemble_loss(network):
    history, future = storm(), storm(frames=7)[:, 4:]
    seen = observed(future)
    seen[:, :, 8:16] = False
    wild = future.where(seen, torch.tensor(200.0))
    one, two = (
        network.stages["ensemble"].loss(batch_of(network, history, x, seen), draws(1))["loss"] for x in (future, wild)
    )
    assert one == two


def test_a_warmer_start_spreads_the_members_more():
    history = storm()
    spread = []
    for temperature in (0.5, 1.0, 1.5):
        network = build(echo=0.0, sampling={**SETTINGS["sampling"], "temperature": temperature})
        members = network.generate(network.condition(clip(network, history)), Draws([generators(*range(6))]))
        spread.append(members.std(1).mean().item())
    assert spread == sorted(spread) and spread[2] > 1.2 * spread[0]


def test_temperature_changes_evenly_over_the_lead_times_and_not_in_training():
    history, future = storm(), storm(frames=7)[:, 4:]
    starts = []
    for temperature in (1.0, (2.0, 1.0)):
        network = build(sampling={**SETTINGS["sampling"], "temperature": temperature})
        network._denoised = lambda condition, noise, *_: starts.append(noise) or torch.zeros_like(noise)
        network.generate(network.condition(clip(network, history)), Draws([generators(0, 1)]))
        network.stages["ensemble"].loss(batch_of(network, history, future), draws(1))
    plain, trained, ramp, trained_as_well = starts
    torch.testing.assert_close(ramp, plain * torch.tensor([2.0, 1.5, 1.0]).view(-1, 1, 1, 1))
    assert torch.equal(trained, trained_as_well)


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), [1.0], [1.0, 0.0], [1.0, 1.0, 1.0], "warm"])
def test_a_wrong_temperature_is_refused(wrong):
    with pytest.raises(ValueError, match="temperature"):
        build(sampling={**SETTINGS["sampling"], "temperature": wrong})


def test_a_larger_domain_is_one_field_without_seams(network):
    history = storm(48, 72)
    members = network.generate(network.condition(clip(network, history)), Draws([generators(0, 1)]))
    assert members.shape == (1, 2, 3, 1, 48, 72)
    condition = network.condition(clip(network, torch.full_like(history, 60.0)))
    flat = counts_of(network.members(condition, Draws([generators(*range(8))])))[0, :, 0]
    steps = (flat[..., 1:] - flat[..., :-1]).abs().mean((0, 1))
    within = {8 * place - 1 for place in range(1, 9)}  # an untrained decoder has steps between all latent locations
    borders = {8 * edge - 1 for tile in condition.tiles for edge in (tile.column, tile.column + tile.side)} & within
    assert len(borders) == 4
    mean = {name: np.mean([steps[place] for place in places]) for name, places in
            (("borders", borders), ("others", within - borders))}  # fmt: skip
    assert mean["borders"] < 1.15 * mean["others"]


def test_a_domain_of_no_whole_latents_is_padded_and_cut(network):
    members = TrainedForecaster(network).predict(_cases(storm(37, 45)), 2, [0], 0)
    assert members.shape == (1, 1, 2, 37, 45) and np.isfinite(members).all()


@pytest.mark.parametrize("kind", ["sprog", "steps"])
def test_members_of_some_cases_at_once_are_those_made_one_by_one(kind):
    network = build(first_guess=kind)
    history = storm(cases=2)
    condition = network.condition(clip(network, history))
    together = network.members(condition, Draws([generators(1, 2), generators(3, 4)]))
    for case, seeds in enumerate([(1, 2), (3, 4)]):
        one = clip(network, history[case : case + 1])
        guess, encoded = one.guess, network.encode_guess(one.guess)
        context = network.denoiser.context(*network.encode(one), encoded.told)
        for member, seed in enumerate(seeds):
            (generator,) = generators(seed)
            noise = torch.randn(1, 3, 4, 4, 4, generator=generator)
            own = guess.draw([[generator]])[:, 0]
            drawn = pixel_unshuffle(own - guess.best, 8) if kind == "steps" else None
            velocity = network.denoiser(noise, torch.tensor([1000.0]), context, drawn)  # Euler's one step from t = 1000
            correction = network.decode(encoded.base + noise - velocity) - encoded.decoded
            plain = own + correction * guess.near_echo(own)
            torch.testing.assert_close(together[case, member], plain[0], atol=2e-5, rtol=1e-4)


def test_each_tile_is_told_of_its_own_part_of_the_domain():
    network = build(first_guess="steps")
    history = storm(48, 72)
    whole = clip(network, history)
    condition = network.condition(whole)
    made, denoiser = [], network.denoiser.forward
    network.denoiser.forward = lambda *inputs: made.append(denoiser(*inputs)) or made[-1]
    network.members(condition, Draws([generators(1)]))
    (generator,) = generators(1)
    noise = torch.randn(1, 3, 4, 6, 9, generator=generator)
    guess, told = whole.guess, condition.guess.told
    drawn = pixel_unshuffle(guess.draw([[generator]])[:, 0] - guess.best, 8)
    z, valid = network.encode(whole)
    assert len(made) == len(condition.tiles) > 3
    for tile, velocity in zip(condition.tiles, made, strict=True):
        place = (..., slice(tile.row, tile.row + 4), slice(tile.column, tile.column + 4))
        context = network.denoiser.context(z[place], valid[place], told[place])
        expected = denoiser(noise[place], torch.tensor([1000.0]), context, drawn[place])
        torch.testing.assert_close(velocity, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmsolver++"])
def test_noise_is_a_function_of_place_whatever_the_sampler(sampler):
    """Tiles of a domain that is the same everywhere agree where they overlap: all see the same noise in every step."""
    network = build(objective="v", first_guess="none", sampling={"sampler": sampler, "steps": 4})
    seen: list[tuple[float, torch.Tensor]] = []
    network.denoiser.forward = lambda z, t, *_: seen.append((t[0].item(), z)) or torch.zeros_like(z)
    condition = network.condition(clip(network, storm(48, 72)))
    network.members(condition, Draws([generators(1)]))
    first, second, side = condition.tiles[0], condition.tiles[1], network.settings.latent_side
    common = first.column + side - second.column
    assert len(seen) == 4 * len(condition.tiles) and common > 0
    for step in range(4):
        (_, west), (_, east) = seen[step * len(condition.tiles) :][:2]
        assert torch.equal(west[..., side - common :], east[..., :common])


def _cases(history: torch.Tensor) -> Cases:
    frames = history.numpy()
    return Cases(frames, np.ones(frames.shape, bool), tuple(f"E{n}@t" for n in range(len(frames))), 5.0)


def test_members_from_a_kept_condition_are_those_from_a_new_one(network):
    cases, others = _cases(storm()), _cases(storm() * 0.9)
    forecaster = TrainedForecaster(network)
    forecaster.bf16 = False
    made = forecaster.prepare(cases, 3, 7)
    made([0, 1])
    kept = made([2, 3])
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
