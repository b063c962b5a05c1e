"""W&B sweep files, run on this machine: file → search → trials → workers → run folders."""
