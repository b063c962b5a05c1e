import pytest
import torch

from lit_seq.data import Digits, Task
from lit_seq.errors import UserError

sklearn = pytest.importorskip("sklearn.datasets")


def images(loader):
    batches = list(loader)
    return torch.cat([b.inputs for b in batches]), torch.cat([b.targets for b in batches])


def test_rows_pixels_and_images_are_the_images_of_scikit_learn():
    pixels, digits = sklearn.load_digits(return_X_y=True)
    known = {tuple(image): digit for image, digit in zip(pixels.tolist(), digits.tolist(), strict=True)}
    rows, pixelwise, whole = Digits(seed=1), Digits("pixels", seed=1), Digits("none", seed=1)
    seen = 0
    for split in ("train_dataloader", "val_dataloader", "test_dataloader"):
        inputs, targets = images(getattr(rows, split)())
        assert inputs.shape[1:] == (8, 8)
        for image, digit in zip((inputs * 16).flatten(1).tolist(), targets.tolist(), strict=True):
            assert known[tuple(image)] == digit
        flat, same = images(getattr(pixelwise, split)())
        assert flat.shape[1:] == (64, 1)
        assert torch.equal(flat.flatten(1), inputs.flatten(1))
        assert torch.equal(same, targets)
        assert torch.equal(images(getattr(whole, split)())[0], inputs.unsqueeze(1))
        seen += len(targets)
    assert seen == len(digits) == 1797


def test_no_image_is_in_two_splits_and_training_sees_each_once_an_epoch():
    data = Digits(batch_size=100, seed=3)
    train = data.train_dataloader()
    splits = [train, data.val_dataloader(), data.test_dataloader()]
    splits = [{tuple(row) for row in images(loader)[0].flatten(1).tolist()} for loader in splits]
    assert [len(split) for split in splits] == [1079, 359, 359]
    assert len(set.union(*splits)) == 1797
    first = images(train)[1]
    train.set_epoch(1)
    assert not torch.equal(images(train)[1], first)
    assert torch.equal(images(Digits(batch_size=100, seed=3).train_dataloader())[1], first)
    assert not torch.equal(images(Digits(batch_size=100, seed=4).train_dataloader())[1], first)


def test_held_out_images_depend_on_neither_seed_nor_batch_size():
    held_out = images(Digits(seed=1, batch_size=10).val_dataloader())[0]
    assert torch.equal(images(Digits(seed=2, batch_size=77).val_dataloader())[0], held_out)
    assert not torch.equal(images(Digits(validation_seed=1).val_dataloader())[0], held_out)


def test_tasks():
    labels = tuple("0123456789")
    assert Digits().task == Task("vectors", 8, "classes", 10, "sequence", labels=labels)
    assert Digits("pixels").task == Task("vectors", 1, "classes", 10, "sequence", labels=labels)
    image = Task("image", 1, "classes", 10, "sequence", labels=labels, image_size=(8, 8))
    assert Digits("none").task == image


def test_wrong_use_is_named():
    with pytest.raises(
        UserError, match=r"^Digits: steps is 'columns'; it must be 'rows', 'pixels' or 'none'\.$"
    ):
        Digits("columns")
    with pytest.raises(
        UserError, match=r"^Digits: validation_fraction is 0.5 and test_fraction 0.5; neither"
    ):
        Digits(validation_fraction=0.5, test_fraction=0.5)
    with pytest.raises(UserError, match=r"^Digits: there is no test data, because its share"):
        Digits(test_fraction=0).test_dataloader()
