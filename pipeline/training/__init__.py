"""Frames with known folds for training: simulated scenes taken through the chain."""
