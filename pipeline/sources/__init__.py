"""Where samples come from: recordings (files) that can be read in any order, and the packets cut from them."""

from trueflow.pipeline.sources.base import Recording, Truth
from trueflow.pipeline.sources.framing import Framing, packets
from trueflow.pipeline.sources.registry import files_of, open_source

__all__ = ["Framing", "Recording", "Truth", "files_of", "open_source", "packets"]
