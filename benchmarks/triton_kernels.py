"""Compile the Triton kernels for a GPU that need not be there, and say what they take of a multiprocessor.

    python benchmarks/triton_kernels.py [--capability 90] [--hidden 64 128] [--write]

For each kernel, precision and number of hidden units: registers a thread, bytes that do not fit into them
(spilled, to slow memory), shared memory a program, and the instructions of its products. An H100 gives a
program up to 227 KiB of shared memory and a thread up to 255 registers. Nothing is run: how long a step takes
is for a GPU to say. The command fails where a form that the autotuner may choose for these sizes does not
compile, or where none fits.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

# It would take the place of the compiler.
os.environ.pop("TRITON_INTERPRET", None)
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

import triton
from page import write_unmeasured
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lit_seq.scan.gpu.launch import PRECISIONS

SHARED = 227 * 1024
"""Bytes of shared memory that a program may have on an H100."""


class Form(NamedTuple):
    """A form of a kernel, compiled."""

    rows: int
    warps: int
    resident: bool
    registers: int
    spilled: int
    shared: int
    products: str

    @property
    def fits(self) -> bool:
        """Whether it can be launched."""
        return self.shared <= SHARED


def compiled(kernel: Any, capability: int, config: Any, constants: dict[str, Any]) -> Form:
    """Compile one form of a kernel that has several."""
    options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
    made, registers, spilled = assembled(kernel.fn, capability, {**constants, **config.kwargs}, **options)
    products = "wgmma" if "wgmma.mma_async" in made.asm["ptx"] else "mma"
    rows, resident = (config.kwargs[name] for name in ("ROWS", "RESIDENT"))
    return Form(rows, config.num_warps, resident, registers, spilled, made.metadata.shared, products)


def assembled(
    function: Any, capability: int, constants: dict[str, Any], **options: int
) -> tuple[Any, int, int]:
    """Return what the compiler makes of a kernel, the registers of a thread, and bytes that are spilled."""
    signature, values, aligned = {}, {}, {}
    for place, name in enumerate(function.arg_names):
        if name in constants:
            signature[name], values[(place,)] = "constexpr", constants[name]
        elif name in ("t", "time", "batch", "elements"):
            signature[name] = "i32"
        elif name == "hidden":
            signature[name], aligned[(place,)] = "i32", [["tt.divisibility", 16]]
        else:
            signature[name], aligned[(place,)] = "*fp32", [["tt.divisibility", 16]]
    source = ASTSource(function, signature, values, aligned)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    return made, *_resources(made.asm["cubin"])


def _resources(binary: bytes) -> tuple[int, int]:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", said.stdout)
    assert found, said.stdout
    return int(found[1]), int(found[2])


def rows(capability: int, sizes: list[int]) -> Iterator[list[str]]:
    """Yield, for each kernel, size and precision, the form that fits and spills the least."""
    for cell, constants in (("Elman", {"ACTIVATION": "tanh"}), ("GRU", {}), ("LSTM", {})):
        module = import_module(f"lit_seq.scan.gpu.{cell.lower()}")
        for name in ("forward", "backward"):
            kernel = getattr(module, f"_{name}")
            for hidden in sizes:
                for asked, precision in PRECISIONS.items():
                    given = {**constants, "HIDDEN": hidden, "PRECISION": precision}
                    forms = [compiled(kernel, capability, config, given) for config in kernel.configs]
                    fitting = [form for form in forms if form.fits]
                    if not fitting:
                        raise SystemExit(f"{cell} {name}, {hidden} units, {precision}: no form fits.")
                    best = min(fitting, key=lambda form: (form.spilled, not form.resident, form.rows))
                    where = "stays" if best.resident else "read at each step"
                    yield [
                        f"{cell} {name}",
                        str(hidden),
                        f"{asked} ({precision})",
                        f"{len(fitting)} of {len(forms)}",
                        f"{best.rows} rows, {best.warps} warps, U {where}",
                        str(best.registers),
                        f"{best.spilled} B",
                        f"{best.shared / 1024:.0f} KiB",
                        best.products,
                    ]


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--write", action="store_true", help="to benchmarks/results/")
    args = parser.parse_args()
    head = ["kernel", "hidden", "precision", "forms that fit", "spills least", "registers"]
    head += ["spilled", "shared memory", "products"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    print(*lines, sep="\n")
    for row in rows(args.capability, args.hidden):
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    if args.write:
        command = f"python benchmarks/triton_kernels.py --capability {args.capability} --write"
        text = f"`{command}`, {date.today()}, Triton {triton.__version__}; compiled, run on no GPU."
        page = ["# What the Triton kernels take of a multiprocessor", "", text, "", *lines, ""]
        write_unmeasured(f"triton-kernels-sm{args.capability}", "\n".join(page))


if __name__ == "__main__":
    sys.exit(main())
