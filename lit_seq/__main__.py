"""`python -m lit_seq` is `lit-seq`."""

from lit_seq.cli import entry

entry()
