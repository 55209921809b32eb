"""The meaning: acquisitions, frames, stages, sources, and the chain from raw samples to color Doppler."""

from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources import Framing, Recording, open_source, packets

__all__ = [
    "Acquisition", "ColorFlow", "ColorFrame", "Config", "DivergingWave", "Framing", "ImageGrid", "PlaneWave", "Probe",
    "Recording", "RfPacket", "Stamp", "TrueflowError", "open_source", "packets",
]
