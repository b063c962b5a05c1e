"""Many trials as one stacked model."""
