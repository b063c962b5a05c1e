"""W&B as a source of reports, and as a place for them."""
