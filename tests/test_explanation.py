import pytest
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer

from lit_seq.configuration import check_metric, parse
from lit_seq.errors import UserError

GOOD = ["fit", "--model", "LanguageModel", "--data", "Shakespeare"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([*GOOD, "--modle", "X"], ["--modle", "did you mean --model?"]),
        ([*GOOD, "--trainer.max_step", "3"], ["--trainer.max_step", "did you mean --trainer.max_steps?"]),
        (
            [*GOOD, "--model.core.cell", "LTSM"],
            ["--model.core.cell", "no Cell 'LTSM'", "did you mean LSTM?", "GRU"],
        ),
        (
            [*GOOD, "--model.core.cell.forgetbias", "1"],
            ["LSTM has no option 'forgetbias'", "forget_bias", "peepholes"],
        ),
        (
            [*GOOD, "--model.core.hiden_size", "3"],
            ["--model.core.hiden_size", "Stack", "hidden_size", "layers"],
        ),
        ([*GOOD, "--model.core.hidden_size", "abc"], ["--model.core.hidden_size must be int, not abc"]),
        (
            [*GOOD, "--model.core.cell.recurrent_init", "identiti"],
            ["must be one of", "'identity'", "not identiti"],
        ),
        ([*GOOD, "--data.lenght", "3"], ["--data.lenght", "Shakespeare has no option", "chunk_length"]),
        ([*GOOD, "--optimizer", "Adan"], ["--optimizer", "no Optimizer 'Adan'", "Adam", "SGD"]),
        ([*GOOD, "--optimizer.lrr", "3"], ["--optimizer.lrr", "Adam has no option 'lrr'", "lr"]),
        ([*GOOD, "--optimizer.lr", "abc"], ["--optimizer.lr must be float, not abc"]),
        ([*GOOD, "--wandb.mode", "of"], ["--wandb.mode must be one of", "'offline'", "not of"]),
        (["fit", "--model", "LangModel", "--data", "Text"], ["--model", "'LangModel'", "LanguageModel"]),
        (["fit", "--model", "LanguageModel", "--data", "Txt"], ["--data", "'Txt'", "did you mean Text?"]),
        (["fit", "--model", "LanguageModel"], ["--data must be given", "Shakespeare"]),
        ([*GOOD, "--data.batch_size=[1, 2]"], ["--data.batch_size must be int, not [1, 2]"]),
        ([*GOOD, "--model.core.cell=[-1]"], ["--model.core.cell must be the name of a class, not [-1]"]),
        ([*GOOD, "--trainer.precision=9"], ["--trainer.precision must be one of 64, 32, 16,", "not 9"]),
        ([*GOOD, "--seed_everything=-1"], ["--seed_everything is -1", "at least 0"]),
        ([*GOOD, "--config", "missing.yaml"], ["missing.yaml cannot be read (No such file"]),
        ([*GOOD, "--config", "missing.json"], ["missing.json cannot be read"]),
        ([*GOOD, "word"], ["'word' stands alone"]),
    ],
)
def test_wrong_command_line_gets_one_sentence(arguments, parts):
    with pytest.raises(UserError) as raised:
        parse(arguments)
    sentence = str(raised.value)
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence


def test_optimizers_that_lightning_makes_up_are_not_offered():
    wrapped = LightningOptimizer(torch.optim.Adam([torch.zeros(1)]))
    assert type(wrapped) in torch.optim.Adam.__subclasses__()
    with pytest.raises(UserError) as raised:
        parse([*GOOD, "--optimizer", "Adan"])
    assert "LBFGS, Muon" in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        '{"model.core.cell": "GRU", "optimizer.lr": 0.25, "trainer.gradient_clip_val": null}',
        '{"model": {"core": {"cell": "GRU"}}, "optimizer": {"lr": 0.25}}',
        '{"model.core.cell": {"class_path": "lit_seq.cells.GRU"}, "optimizer": {"lr": 0.25}}',
    ],
)
def test_json_configuration_of_the_wandb_agent(tmp_path, content):
    file = tmp_path / "args.json"
    file.write_text(content)
    config = parse([*GOOD, "--trainer.gradient_clip_val=None", "--config", str(file)])
    assert config.model.init_args.core.init_args.cell.class_path.endswith("GRU")
    assert config.optimizer.init_args.lr == 0.25
    assert config.trainer.gradient_clip_val is None


@pytest.mark.parametrize(
    ("model", "name"),
    [("LanguageModel", "val/bits_per_character"), ("Forecaster", "val/nrmse_8"), ("Forecaster", "val/loss")],
)
def test_metrics_that_are_logged_can_be_asked_for(model, name):
    check_metric(parse(["fit", "--model", model, "--data", "Sunspots"]), name, "metric")


def test_metrics_that_nobody_logs_are_refused():
    with pytest.raises(UserError, match="LanguageModel does not log; it logs train/loss"):
        parse([*GOOD, "--checkpoint.monitor", "val/accurracy"])
    parse([*GOOD, "--checkpoint.monitor", "mine", "--trainer.callbacks+=LearningRateMonitor"])
