"""Where the benchmarks' results go, and on what they were measured."""

import platform
import re
from pathlib import Path

import torch

from lit_seq.run_folder import replacing


def device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.processor()


def write(name: str, device: str, text: str) -> None:
    """Write results/NAME-DEVICE.md."""
    slug = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    write_unmeasured(f"{name}-{slug}", text)


def write_unmeasured(name: str, text: str) -> None:
    """Write results/NAME.md, of what depends on no device."""
    with replacing(Path(__file__).parent / "results" / f"{name}.md") as file:
        file.write(text)
