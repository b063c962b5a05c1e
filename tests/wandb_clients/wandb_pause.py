"""A callback that makes a run slow enough to be killed in the middle, named by its import path."""

import time

import lightning as L


class Pause(L.Callback):
    """Sleep before each training batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, *args: object) -> None:
        time.sleep(self.seconds)
