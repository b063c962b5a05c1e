import pytest
import torch

from lit_seq.cells import GRU, LSTM
from lit_seq.cores import ReNet, ReNetLayer

pytestmark = pytest.mark.usefixtures("double")


def swept(cell, patches, reverse):
    """Run a cell along a list of (features,) vectors, one at a time."""
    state, outputs = cell.initial_state(1), [None] * len(patches)
    for i in reversed(range(len(patches))) if reverse else range(len(patches)):
        state = cell.step(cell.project(patches[i].unsqueeze(0)), state)
        outputs[i] = cell.output(state)[0]
    return outputs


def both(cells, patches):
    pairs = zip(swept(cells[0], patches, False), swept(cells[1], patches, True), strict=True)
    return [torch.cat(pair) for pair in pairs]


def by_hand(layer, image):
    """One image, (rows, columns, channels), as in section 2 of the paper: columns first, then rows."""
    p = layer.patch
    down, across = image.shape[0] // p, image.shape[1] // p
    patches = [
        [image[i * p : (i + 1) * p, j * p : (j + 1) * p].flatten() for j in range(across)]
        for i in range(down)
    ]
    columns = [both(layer.columns.layers[0], [patches[i][j] for i in range(down)]) for j in range(across)]
    rows = [both(layer.rows.layers[0], [columns[j][i] for j in range(across)]) for i in range(down)]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize("patch", [1, 2])
def test_a_layer_by_hand(patch):
    torch.manual_seed(0)
    layer = ReNetLayer(3, LSTM, 5, patch)
    image = torch.randn(4, 2, 6, 3)
    result, _ = layer(image)
    for index in range(2):
        torch.testing.assert_close(result[:, index], by_hand(layer, image[:, index]), rtol=0, atol=1e-12)


def test_two_layers_with_images_of_different_heights():
    torch.manual_seed(0)
    core = ReNet(16, GRU, 3, patches=[2, 2], channels=2)
    assert core.output_size == 2 * 2 * 3
    inputs, lengths = torch.randn(8, 2, 16), torch.tensor([8, 4])
    outputs, state = core(inputs, None, lengths)
    for index, rows in enumerate(lengths.tolist()):
        image = inputs[:rows, index].unflatten(-1, (8, 2))
        for layer in core.layers:
            image = by_hand(layer, image)
        expected = image.flatten(1)
        torch.testing.assert_close(core.summary(state)[index], expected.amax(0), rtol=0, atol=1e-12)
        for row in range(rows):
            torch.testing.assert_close(outputs[row, index], expected[row // 4], rtol=0, atol=1e-12)
    assert outputs[4:, 1].abs().max() == 0


def test_rows_that_patches_lack_are_zero():
    torch.manual_seed(0)
    core = ReNet(4, GRU, 3)
    image = torch.randn(3, 1, 4)
    filled = torch.cat([image, torch.zeros(1, 1, 4)])
    torch.testing.assert_close(core(image)[0], core(filled)[0][:3], rtol=0, atol=1e-12)


def test_every_place_sees_the_whole_image():
    torch.manual_seed(0)
    core = ReNet(4, GRU, 3, learned_initial_state=True)
    image = torch.randn(6, 1, 4, requires_grad=True)
    core(image)[0][2].sum().backward()
    assert image.grad.abs().min() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"patches": [3]},
        {"channels": 3},
        {"patches": [4, 4]},
        {"patches": [0]},
        {"patches": []},
        {"patches": [-2, -2]},
    ],
)
def test_patches_that_do_not_fill_a_row_are_refused(options):
    with pytest.raises(ValueError, match="ReNet: a row of 8 features is not made of patches"):
        ReNet(8, **{"patches": [2], **options})
