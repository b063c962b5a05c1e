"""A worker that trains nothing: it writes what a trial of 100 logged steps leaves behind."""

import json
import math
import sys
from pathlib import Path

import yaml

from lit_seq.configuration import parse, plain
from lit_seq.run_folder import Status

STEPS = 100


def leave_behind(trial: dict, config: dict) -> None:
    """Write config.yaml, metrics.csv and status.json of a trial that went well."""
    folder = Path(trial["log"]).parent
    values = json.loads((folder / "args.json").read_text())
    rate, clip, seed = values["optimizer.lr"], values["trainer.gradient_clip_val"], values["seed_everything"]
    config["seed_everything"], config["trainer"]["gradient_clip_val"] = seed, clip
    config["optimizer"]["init_args"]["lr"] = rate
    (folder / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False))
    speed = 1 / (1 + abs(math.log(rate / 0.01))) / (1 + seed % 7 / 20)
    losses = [0.2 + math.exp(-speed * step / 30) + 0.01 * math.sin(seed + step) for step in range(STEPS)]
    lines = ["step,epoch,train/loss,train/gradient_norm,val/loss"]
    for step, loss in enumerate(losses):
        lines.append(f"{step},0,{loss},{min(clip, loss)},{loss * 1.1 if step % 10 == 9 else ''}")
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    status = Status.read(folder)
    status.state, status.seed, status.seconds = "finished", seed, 2.0
    status.step = status.max_steps = STEPS
    status.metrics = {"train/loss": losses[-1], "val/loss": losses[-1] * 1.1}
    status.write(folder)


def main() -> None:
    """Answer as `lit_seq.sweep.worker` does."""
    config = None
    print(json.dumps({"event": "ready"}), flush=True)
    for line in sys.stdin:
        for trial in json.loads(line).get("trials", ()):
            if config is None:
                config = plain(parse(trial["arguments"]))
                config.pop("config", None)
            leave_behind(trial, config)
            ended = {"event": "ended", "number": trial["number"], "code": 0, "error": None}
            print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
