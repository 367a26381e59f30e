"""Predictions, timelines, annotated copies and features of any videos."""
