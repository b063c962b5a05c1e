"""What the trainer is told means the same to a pack as to a trial alone."""

import pytest
from test_packing_equality import assert_same_run, pack

from lit_seq.cli import main
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import trainer_values
from lit_seq.packing.run import run_pack

COMMON = [
    *("--model", "ManyToOne", "--model.core.cell", "LSTM", "--model.core.hidden_size", "4"),
    *("--data", "AddingProblem", "--data.length", "8", "--data.batch_size", "4"),
    *("--data.train_batches", "7", "--data.validation_size", "8"),
    *("--trainer.precision", "64-true", "--trainer.log_every_n_steps", "2"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
STEPS, EPOCHS = "--trainer.max_steps=20", "--trainer.max_epochs=3"
OPTIONS = {
    "accumulated": [STEPS, "--trainer.accumulate_grad_batches=3"],
    "accumulated-over-epochs": [EPOCHS, "--trainer.accumulate_grad_batches=4"],
    "sanity": [STEPS, "--trainer.num_sanity_val_steps=2"],
    "half-epochs": [EPOCHS, "--trainer.val_check_interval=0.5"],
    "some-epochs": ["--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=2"],
    "part-of-epochs": [EPOCHS, "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=1"],
    "overfit": [EPOCHS, "--trainer.overfit_batches=2"],
    "least-steps": ["--trainer.max_epochs=2", "--trainer.min_steps=18"],
    "no-clipping": [STEPS, "--trainer.gradient_clip_val=0"],
    "one-cycle": [
        *("--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "0.1"),
        *("--lr_scheduler.total_steps", "10", EPOCHS),
    ],
    "cyclic": [
        *("--optimizer", "SGD", "--optimizer.momentum", "0.9", "--lr_scheduler", "CyclicLR"),
        *("--lr_scheduler.base_lr", "0.01", "--lr_scheduler.max_lr", "0.1", EPOCHS),
    ],
    "made-ahead": [EPOCHS, "--data.num_workers=2"],
    "maximised": [STEPS, "--optimizer.maximize=true", "--optimizer.weight_decay=0.1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_pack_does_as_its_trials_alone(tmp_path, capsys, options):
    def trials(name):
        common = ["fit", *COMMON, *options, "--runs_dir", str(tmp_path)]
        return [
            [
                *common,
                f"--name={name}{seed}",
                f"--seed_everything={seed}",
                f"--optimizer.lr={0.01 * (1 + seed)}",
            ]
            for seed in range(2)
        ]

    assert pack(trials("packed"), capsys) == [0, 0]
    for index, trial in enumerate(trials("alone")):
        assert main(trial) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"alone{index}", 1e-8)


@pytest.mark.slow
def test_a_trainer_that_there_cannot_be_is_told_of_each_trial(tmp_path, capsys):
    common = ["fit", *COMMON, STEPS, "--trainer.enable_checkpointing=false", "--runs_dir", str(tmp_path)]
    assert run_pack([[*common, f"--name={name}"] for name in "ab"]) == [2, 2]
    said = capsys.readouterr().err
    assert said.count("lit-seq: Trainer was configured with `enable_checkpointing=False`") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["16-mixed", "16", 16])
def test_losses_that_are_scaled_by_the_run_are_in_no_pack(precision):
    """A trial whose gradients overflow would leave out the steps of all others."""
    with pytest.raises(Unpackable, match="16-mixed scales losses"):
        trainer_values({"precision": precision})
    assert trainer_values({"precision": "bf16-mixed"})
