import os

# Before anything imports wandb or datasets: tests never reach for the network.
os.environ.update(
    WANDB_MODE="offline", WANDB_ERROR_REPORTING="false", WANDB_SILENT="true", HF_HUB_OFFLINE="1"
)

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads it as it is imported.
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests share two cores with each other."""
    torch.set_num_threads(1)


@pytest.fixture
def double():
    """Build modules and tensors in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
