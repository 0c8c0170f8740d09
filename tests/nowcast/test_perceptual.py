"""The perceptual loss: equal images, a distance by hand, and files that are not VGG16."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, max_pool2d

from nowcast.models.perceptual import PerceptualLoss, load_perceptual
from pipelines.errors import InputError


@pytest.fixture
def tiny() -> PerceptualLoss:
    torch.manual_seed(0)
    return PerceptualLoss(widths=(4, 4, 4, 4, 4))


def test_equal_images_have_no_distance(tiny):
    x, y = torch.rand(2, 3, 1, 16, 16)
    assert (tiny(x, x) == 0).all()
    assert tiny(x, y).shape == (3,)
    assert (tiny(x, y) > 0).all()
    torch.testing.assert_close(tiny(x, y), tiny(y, x))


def test_distance_by_hand():
    """Features (x, 1) in the first layer, constant ones in the others: (1, 1)/sqrt 2 against (0, 1)."""
    loss = PerceptualLoss(widths=(2, 1, 1, 1, 1))
    for name, parameter in loss.named_parameters():
        if name.startswith("features"):
            parameter.fill_(1.0 if name.endswith("bias") else 0.0)
    first, second = loss.features["0"], loss.features["2"]
    first.weight[0, 0, 1, 1], first.bias[0] = 0.458, -0.030  # undoes the input scaling of the first colour
    second.weight[0, 0, 1, 1], second.bias[0] = 1.0, 0.0
    loss.linear[0].copy_(torch.tensor([3.0, 1.0]))
    x, y = torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    # 3 * (0.7071068 - 0)^2 + 1 * (0.7071068 - 1)^2 = 1.5 + 0.0857864
    assert loss(x, y).item() == pytest.approx(1.5857864, rel=1e-5)


def test_random_network_against_plain_convolutions(tiny):
    x, y = torch.rand(2, 2, 1, 32, 32)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def taps(image):
        z = (image.repeat(1, 3, 1, 1) - shift[:, None, None]) / scale[:, None, None]
        for pool, layers in enumerate([(0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)]):
            z = max_pool2d(z, 2) if pool else z
            for layer in layers:
                convolution = tiny.features[str(layer)]
                z = conv2d(z, convolution.weight, convolution.bias, padding=1).clamp(min=0)
            yield z / z.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)

    expected = sum((a - b).square().sum(1).mean((1, 2)) for a, b in zip(taps(x), taps(y), strict=True))
    torch.testing.assert_close(tiny(x, y), expected)


def test_gradients_reach_the_image_and_no_weight(tiny):
    x = torch.rand(1, 1, 16, 16, requires_grad=True)
    tiny(x, torch.rand(1, 1, 16, 16)).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in tiny.parameters())


def vgg16_file(path, **changes):
    torch.manual_seed(1)
    state = {name: value for name, value in PerceptualLoss().state_dict().items() if name.startswith("features")}
    save_file({**state, "head.fc.weight": torch.zeros(2), **changes}, path)
    return path


def test_loads_vgg16_with_and_without_calibration(tmp_path):
    loss = load_perceptual(str(vgg16_file(tmp_path / "vgg.safetensors")))
    assert loss.linear[4].tolist() == [1 / 512] * 512
    weights = {f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1) for i, n in enumerate((64, 128, 256, 512, 512))}
    loss = load_perceptual(str(vgg16_file(tmp_path / "lpips.safetensors", **weights)))
    assert torch.equal(loss.linear[0], weights["lin0.model.1.weight"].flatten())


def test_wrong_files_are_refused(tmp_path):
    text = tmp_path / "text.safetensors"
    text.write_text("no weights")
    other = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, other)
    cases = {None: "no weights", str(tmp_path / "absent"): "no weights", str(text): "not a safetensors file"}
    for path, message in {**cases, str(other): "is not VGG16; got features.0.bias missing"}.items():
        with pytest.raises(InputError, match=message) as error:
            load_perceptual(path)
        assert "timm/vgg16.tv_in1k" in str(error.value)
