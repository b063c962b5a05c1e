"""Windows of series, cut and standardised."""

import math
from itertools import chain

import datasets
import pytest
import torch

from lit_seq.data import Forecasting, Sunspots
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def forecasting(text, columns=("y",), **arguments):
    with open("rows.csv", "w", encoding="utf-8") as file:
        file.write(text)
    arguments = {"past": 3, "horizon": 2, "batch_size": 4, "seed": 1} | arguments
    return Forecasting(
        "csv", list(columns), data_files="rows.csv", load_options={"cache_dir": "cache"}, **arguments
    )


def numbers(values, header="y"):
    return "\n".join([header, *(str(value) for value in values)]) + "\n"


def windows(data, split):
    """Undo the standardisation; return past and future of each window, of the first column."""
    scale = data.task.scale
    found = []
    for batch in data.loader(split):
        both = torch.cat([batch.inputs, batch.targets], 1)[..., 0] * scale["deviation"][0] + scale["mean"][0]
        found += [[round(value, 3) for value in row] for row in both.tolist()]
    return found


def test_every_step_is_in_the_future_of_its_own_part_only():
    data = forecasting(numbers(range(20)), validation_fraction=0.2, test_fraction=0.25)
    assert sorted(windows(data, "train")) == [[i, i + 1, i + 2, i + 3, i + 4] for i in range(7)]
    assert windows(data, "validation") == [[i, i + 1, i + 2, i + 3, i + 4] for i in range(8, 11)]
    assert windows(data, "test") == [[i, i + 1, i + 2, i + 3, i + 4] for i in range(12, 16)]
    for split, futures in (("train", range(3, 11)), ("validation", range(11, 15)), ("test", range(15, 20))):
        assert set(chain.from_iterable(window[3:] for window in windows(data, split))) == set(futures)


def test_the_training_part_alone_gives_the_scale():
    values = [3.0, 5.0, 1.0, 7.0, 2.0, 6.0, 1000.0, -1000.0, 1000.0, -1000.0]
    data = forecasting(
        numbers(values), past=2, horizon=2, validation_fraction=0.2, test_fraction=0.2, batch_size=100
    )
    mean = sum(values[:6]) / 6
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values[:6]) / 6)
    task = data.task
    assert (task.inputs, task.targets, task.alignment, task.target_length) == (
        "vectors",
        "values",
        "future",
        2,
    )
    assert (task.input_size, task.target_size, task.features) == (1, 1, ("y",))
    assert task.scale == {"mean": [pytest.approx(mean)], "deviation": [pytest.approx(deviation)]}
    (batch,) = data.val_dataloader()
    assert batch.lengths is None
    assert batch.targets.flatten().tolist() == pytest.approx([(v - mean) / deviation for v in values[6:8]])


def test_every_window_once_an_epoch_in_an_order_of_its_own():
    data = forecasting(numbers(range(30)))
    orders = []
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.set_epoch(epoch)
        orders.append([row for batch in loader for row in batch.inputs[:, 0, 0].tolist()])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(orders[0]) == 24 - 5 + 1


LONG = "y,z,of\n" + "".join(f"{i},{-i},a\n{100 + i},{i / 2},b\n" for i in range(10))


def test_columns_and_series_from_steps_and_from_lists():
    arguments = {"columns": ("y", "z"), "validation_fraction": 0.3, "test_fraction": 0, "batch_size": 100}
    long = forecasting(LONG, series_column="of", **arguments)
    rows = {"y": [list(range(10)), list(range(100, 110))]}
    rows["z"] = [[-i for i in range(10)], [i / 2 for i in range(10)]]
    datasets.Dataset.from_dict(rows).to_parquet("wide.parquet")
    del arguments["columns"]
    wide = Forecasting(
        "parquet",
        ["y", "z"],
        data_files="wide.parquet",
        load_options={"cache_dir": "cache"},
        past=3,
        horizon=2,
        seed=1,
        **arguments,
    )
    assert windows(long, "validation") == [
        *([i, i + 1, i + 2, i + 3, i + 4] for i in (4, 5)),
        *([i, i + 1, i + 2, i + 3, i + 4] for i in (104, 105)),
    ]
    assert long.task == wide.task
    for split in ("train", "validation"):
        for one, other in zip(long.loader(split), wide.loader(split), strict=True):
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets, other.targets)


def test_splits_that_the_data_has_are_left_as_they_are():
    for name, values in (("train", range(12)), ("test", range(50, 57))):
        with open(f"{name}.csv", "w", encoding="utf-8") as file:
            file.write(numbers(values))
    files = {"train": "train.csv", "test": "test.csv"}
    data = Forecasting(
        "csv",
        ["y"],
        data_files=files,
        load_options={"cache_dir": "c"},
        past=3,
        horizon=2,
        validation_fraction=0.25,
    )
    assert windows(data, "test") == [[i, i + 1, i + 2, i + 3, i + 4] for i in (50, 51, 52)]
    assert windows(data, "validation") == [[i, i + 1, i + 2, i + 3, i + 4] for i in (6, 7)]


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (
            numbers([1, 2, "nan", 4]),
            {},
            r"column y of rows.csv holds nothing in row 3; a series needs a finite number",
        ),
        (numbers([1, "inf", 4]), {}, r"holds inf in row 2"),
        (numbers(["one", "two"]), {}, r"column y of rows.csv holds 'one' in row 1"),
        (numbers(range(9)), {"columns": ("z",)}, r"rows.csv has no column z; its columns are y\."),
        (numbers(range(9)), {"columns": ()}, r"no column of rows.csv is named"),
        (LONG, {"series_column": "who"}, r"rows.csv has no column who; its columns are y, z, of\."),
        (
            numbers(range(20)),
            {"past": 30},
            r"the longest has 16 steps for train, and a window needs 32 of them \(past 30, horizon 2\)\.",
        ),
        (
            numbers(range(20)),
            {"horizon": 3},
            r"the longest has 2 steps for validation, and a window needs 3 of them",
        ),
        (numbers(range(20)), {"horizon": 0}, r"Forecasting: horizon is 0; it must be at least 1\."),
    ],
)
def test_wrong_data_is_refused(text, arguments, sentence):
    with pytest.raises(UserError, match=sentence) as refusal:
        _ = forecasting(text, **arguments).task
    assert "\n" not in str(refusal.value)


def test_a_gap_in_a_list_is_named():
    datasets.Dataset.from_dict({"y": [[1.0, 2.0], [1.0, 2.0, math.nan]]}).to_json("wide.jsonl")
    data = Forecasting("json", ["y"], data_files="wide.jsonl", load_options={"cache_dir": "cache"})
    with pytest.raises(UserError, match=r"column y of wide.jsonl holds (nan|nothing) in step 3 of row 2"):
        _ = data.task


def test_lists_of_different_lengths_are_refused():
    datasets.Dataset.from_dict({"y": [[1.0, 2.0]], "z": [[1.0]]}).to_parquet("wide.parquet")
    data = Forecasting("parquet", ["y", "z"], data_files="wide.parquet", load_options={"cache_dir": "cache"})
    with pytest.raises(UserError, match=r"column z of wide.parquet holds a list of 1 in row 1"):
        _ = data.task


def test_a_constant_column_keeps_finite():
    data = forecasting("y,z\n" + "".join(f"{i},4\n" for i in range(30)), columns=("y", "z"))
    (*_, batch) = data.val_dataloader()
    assert (batch.inputs[..., 1] == 0).all()


def test_sunspots_as_the_literature_divides_them():
    data = Sunspots(past=9, horizon=1)
    parts = {split: windows(data, split) for split in ("train", "validation", "test")}
    assert {split: len(of) for split, of in parts.items()} == {"train": 221 - 9, "validation": 35, "test": 53}
    assert parts["validation"][0][-2:] == [37.6, 26.1]  # 1920 and 1921
    assert parts["test"][0][-1] == 141.7  # 1956
    assert parts["test"][-1][-1] == 2.9  # 2008


def test_months_of_sunspots_are_those_of_the_years():
    # Before 1818 the two were not made from each other; to .1 after that, but for what rounding did.
    (months,), (years,) = (Sunspots(step).read()["train"] for step in ("month", "year"))
    assert (len(months), len(years)) == (3120, 309)
    of_months = months[(1818 - 1749) * 12 :].reshape(-1, 12).mean(1)
    assert (of_months - years[1818 - 1700 :, 0]).abs().max() < 0.5


def test_another_step_is_refused():
    with pytest.raises(UserError, match=r"Sunspots: step is 'day'; it must be 'year' or 'month'\."):
        Sunspots("day")
