import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.topologies.convolution import ConvNet


@pytest.mark.parametrize(
    ("image_size", "grid_size"),
    [
        ((1, 1), (1, 1)),
        ((7, 7), (7, 7)),
        ((8, 8), (4, 4)),
        ((9, 15), (5, 8)),
        ((24, 24), (6, 6)),
        ((28, 28), (7, 7)),
        ((64, 100), (4, 7)),
        ((3, 40), (3, 40)),
    ],
)
def test_an_image_becomes_a_grid_of_places_and_a_summary(image_size, grid_size):
    network = ConvNet(3, image_size, 16)
    images = torch.rand(2, 3, *image_size)
    grid = network.grid(images)
    assert network.grid_size == grid_size
    assert grid.shape == (2, grid_size[0] * grid_size[1], 16)
    assert network(images).shape == (2, network.output_size) == (2, 16)
    assert torch.equal(network(images), network.summary(grid))


def test_places_go_row_by_row_and_see_what_is_near_them():
    network = ConvNet(1, (24, 24), 8)
    dark = torch.zeros(1, 1, 24, 24)
    light = dark.clone()
    light[..., 1, 22] = 1.0
    changed = (network.grid(light) != network.grid(dark)).any(-1).view(network.grid_size)
    # Pixel (1, 22) enters (0 … 1, 11) of 12×12, (0 … 1, 5) of 6×6, and of those the next ones.
    assert changed[0, 5]
    assert not changed[3:].any()
    assert not changed[:, :4].any()


def test_the_scale_of_activations_is_kept_through_many_layers(double):
    torch.manual_seed(0)
    images = torch.randn(8, 3, 64, 64)
    means = [(ConvNet(3, (64, 64), 64).grid(images) ** 2).mean().item() for _ in range(10)]
    # E[relu(y)²] = E[relu(x)²] with weights of variance 2/fan-in, less what the padding's zeros take away.
    assert 0.2 < sum(means) / len(means) < 1.2


def test_an_answer_does_not_depend_on_the_other_images():
    network = ConvNet(1, (16, 16), 8)
    images = torch.rand(5, 1, 16, 16)
    torch.testing.assert_close(network(images)[3:4], network(images[3:4]))


@pytest.mark.parametrize("shared", [True, False])
def test_stacked_networks_have_the_outputs_and_gradients_of_each_alone(shared, double):
    networks = [ConvNet(1, (9, 16), 8) for _ in range(3)]
    images = torch.rand(3, 4, 1, 9, 16)
    if shared:
        images = images[:1].expand(3, -1, -1, -1, -1)
    parameters, buffers = stack_module_state(networks)
    run = vmap(
        lambda parameters, images: functional_call(networks[0], (parameters, buffers), (images,)),
        in_dims=(0, None if shared else 0),
    )
    outputs = run(parameters, images[0] if shared else images)
    outputs.square().sum().backward()
    for trial, network in enumerate(networks):
        alone = network(images[trial])
        torch.testing.assert_close(outputs[trial], alone)
        alone.square().sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(parameters[name].grad[trial], parameter.grad)
