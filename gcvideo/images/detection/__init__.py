"""Instances in pictures: boxes, classes and masks."""
