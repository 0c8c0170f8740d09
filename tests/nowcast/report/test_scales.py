"""The colours of a nowcast's page can be ordered and told apart, with full colour vision and without."""

import numpy as np
import pytest

from nowcast.report.scales import AMOUNT_COLOURS, GROUND, PROBABILITY_COLOURS, amount_scale, amounts_of_counts
from pipelines.store.units import COUNTS, QUANTITIES, RAIN_RATE, REFLECTIVITY

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE = np.sum(XYZ, axis=1)


def lab(colours: tuple[str, ...], seen_by: str) -> np.ndarray:
    """CIE L*a*b* of sRGB colours as somebody sees them, shape (colour, 3)."""
    rgb = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(VISION[seen_by]), 0, 1) @ np.transpose(XYZ) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_lightness_of_known_colours():
    assert np.allclose(lab(("#000000", "#777777", "#ffffff"), "full")[:, 0], [0, 50.03, 100], atol=0.05)


@pytest.mark.parametrize("seen_by", VISION)
@pytest.mark.parametrize("colours", [AMOUNT_COLOURS, PROBABILITY_COLOURS])
def test_colours_become_lighter_and_differ(colours, seen_by):
    """A difference of 2.3 is just noticeable; any two colours of a scale differ by three times that or more."""
    seen = lab((GROUND, *colours), seen_by)
    assert (np.diff(seen[:, 0]) > 3).all()
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[~np.eye(len(seen), dtype=bool)]
    assert apart.min() > 7


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_levels_of_every_unit_rise_within_the_counts(quantity):
    scale = amount_scale(quantity)
    assert len(scale.levels) == len(scale.ticks) == len(scale.colours) + 1
    assert (np.diff(scale.levels) > 0).all() and scale.levels[-1] == 255
    amounts = amounts_of_counts(quantity)
    first, text = int(np.ceil(scale.levels[1])), (scale.second or scale.ticks)[1]
    assert amounts[first] >= float(text) > amounts[first - 1]


def test_amounts_worked_out_by_hand():
    """100 counts are 5.5 mm h-1: VIL 1.513 kg m-2, Z^(4/7) = 97.7, Z = 3031, R = (3031 / 200)^(1 / 1.6)."""
    assert amounts_of_counts(RAIN_RATE)[100] == pytest.approx(5.47, abs=0.01)
    assert amounts_of_counts(COUNTS)[100] == 100 and amounts_of_counts(REFLECTIVITY)[5] == -32
