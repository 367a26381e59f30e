"""Synthetic pictures of shapes, with classes, boxes and masks, for every image task."""
