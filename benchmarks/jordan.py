"""Teacher forcing of a Jordan network: all steps at once, against the same network step by step.

    python benchmarks/jordan.py

Goodfellow, Bengio & Courville 2016, section 10.2.1: where the recurrence comes from the output only, teacher
forcing makes the steps independent of each other. A step here is the forward and the backward pass of
`OutputFeedback` with the cell `Jordan` on the running sum modulo 5, batch 64, one-hot inputs, in float32 on
one thread of the CPU: as it trains ("parallel"), and with the same loss by a loop over the time steps
("sequential"), as a recurrence through the hidden layer would need it. The two take turns. Times are
medians; the ratio is the sequential time over the parallel one. One core gains by larger products and fewer
calls alone; what computes steps side by side gains more.
"""

import itertools
import platform
import statistics
from datetime import date
from functools import partial

import torch
from cells import in_turns
from page import device_name, write
from torch import Tensor

from lit_seq.allocator import keep_freed_memory
from lit_seq.cells import Jordan
from lit_seq.cores import Stack
from lit_seq.data import Batch, RunningSum
from lit_seq.topologies import OutputFeedback

BATCH, ROUNDS = 64, 22
LENGTHS = (25, 100, 400)
HIDDEN = (32, 128)


def parallel(model: OutputFeedback, batch: Batch) -> Tensor:
    return model.measure(batch).means["loss"]


def sequential(model: OutputFeedback, batch: Batch) -> Tensor:
    inputs, before, state, outputs = model.features(batch.inputs), None, None, []
    for x, target in zip(inputs, batch.targets.mT, strict=True):
        before = torch.zeros(BATCH, model.task.target_size) if before is None else before
        step, state = model.core(torch.cat([x, before], -1).unsqueeze(0), state)
        outputs.append(model.head(step[0]))
        before = torch.nn.functional.one_hot(target, model.task.target_size).float()
    return model.loss_and_metrics(torch.stack(outputs), batch.targets.mT)[0]["loss"]


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    lines = [
        f"# Teacher forcing of a Jordan network, parallel and sequential, on {device_name('cpu')}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, one thread, batch "
        f"{BATCH}, float32. Milliseconds a forward and backward pass: medians of {ROUNDS}. "
        "`python benchmarks/jordan.py`",
        "",
        "| hidden | steps | sequential ms | parallel ms | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for hidden, length in itertools.product(HIDDEN, LENGTHS):
        torch.manual_seed(0)
        data = RunningSum(length=length, batch_size=BATCH)
        model = OutputFeedback(data.task, partial(Stack, cell=Jordan, hidden_size=hidden), None)
        batch = next(iter(data.train_dataloader()))
        torch.testing.assert_close(parallel(model, batch), sequential(model, batch))
        sides = [
            lambda loss=loss, model=model, batch=batch: loss(model, batch).backward()
            for loss in (sequential, parallel)
        ]
        slow, fast = (1000 * statistics.median(times) for times in in_turns(sides, "cpu", 0.0, ROUNDS))
        lines.append(f"| {hidden} | {length} | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} |")
        print(lines[-1], flush=True)
    write("jordan", "cpu", "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
