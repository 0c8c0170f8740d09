"""The perceptual loss: equal images, a distance by hand, and files that are not VGG16."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, max_pool2d

from nowcast.perception.lpips import ALEXNET, VGG16, PerceptualLoss, load_lpips, load_perceptual
from pipelines.errors import InputError


@pytest.fixture
def tiny() -> PerceptualLoss:
    torch.manual_seed(0)
    return PerceptualLoss(replace(VGG16, widths=(4, 4, 4, 4, 4)))


def test_equal_images_have_no_distance(tiny):
    x, y = torch.rand(2, 3, 1, 16, 16)
    assert (tiny(x, x) == 0).all()
    assert tiny(x, y).shape == (3,)
    assert (tiny(x, y) > 0).all()
    torch.testing.assert_close(tiny(x, y), tiny(y, x))


def test_distance_by_hand():
    """Features (x, 1) in the first layer, constant ones in the others: (1, 1)/sqrt 2 against (0, 1)."""
    loss = PerceptualLoss(replace(VGG16, widths=(2, 1, 1, 1, 1)))
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


def test_alexnet_against_plain_convolutions():
    torch.manual_seed(2)
    loss = PerceptualLoss(ALEXNET)
    x, y = torch.rand(2, 2, 1, 64, 64) * 2 - 1
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    layers = [(0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False)]

    def taps(image):
        z = (image.repeat(1, 3, 1, 1) - shift[:, None, None]) / scale[:, None, None]
        for number, stride, padding, pooled in layers:
            z = max_pool2d(z, 3, 2) if pooled else z
            convolution = loss.features[str(number)]
            z = conv2d(z, convolution.weight, convolution.bias, stride, padding).clamp(min=0)
            yield z / z.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)

    expected = sum((a - b).square().sum(1).mean((1, 2)) for a, b in zip(taps(x), taps(y), strict=True))
    torch.testing.assert_close(loss(x, y), expected)
    torch.testing.assert_close(loss(x, y[:1]), torch.stack([loss(x[:1], y[:1])[0], loss(x[1:], y[:1])[0]]))


def alexnet_file(path, **changes):
    torch.manual_seed(3)
    state = {name: value for name, value in PerceptualLoss(ALEXNET).state_dict().items() if name.startswith("features")}
    linear = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(ALEXNET.widths)}
    save_file({**state, **linear, **changes}, path)
    return str(path)


def test_lpips_needs_alexnet_and_its_channel_weights(tmp_path):
    path = alexnet_file(tmp_path / "lpips.safetensors")
    loss = load_lpips(path)
    assert loss.features["0"].weight.shape == (64, 3, 11, 11) and loss.linear[1].shape == (192,)
    with pytest.raises(InputError, match=r"is not AlexNet; got lin4.model.1.weight \(3,\)"):
        load_lpips(alexnet_file(tmp_path / "wrong.safetensors", **{"lin4.model.1.weight": torch.ones(3)}))
    with pytest.raises(InputError, match=r"no weights for LPIPS.*alexnet-owt-7be5be79.pth"):
        load_lpips(str(tmp_path / "absent"))
