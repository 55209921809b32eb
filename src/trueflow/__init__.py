"""Real-time color Doppler without aliasing: raw ultrasound channel data in, true velocities out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trueflow")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
