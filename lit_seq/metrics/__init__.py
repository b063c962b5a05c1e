"""Metrics of whole data sets: functions of all answers at once, which no mean over batches gives."""
