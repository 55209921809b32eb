"""Pixels: the window, its renderer and controls."""
