"""What can go wrong between a scanner and us, on demand and by the numbers: the same seed does the same damage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trueflow.pipeline.errors import TrueflowError

__all__ = ["Fate", "Faults", "Tally"]

Fate = Literal["sent", "lost", "reordered", "corrupted"]


@dataclass(frozen=True, slots=True)
class Faults:
    """How much of what goes wrong.

    Parameters
    ----------
    loss, reorder, corrupt : float
        Shares of the packets that are never sent, sent after the next one, sent with a damaged payload.
    jitter_s : float
        Packets are sent up to so much later than they are due.
    stall_s, stall_every_s : float
        The front end stops for so long, every so often.
    seed : int

    Raises
    ------
    TrueflowError
    """

    loss: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    jitter_s: float = 0.0
    stall_s: float = 0.0
    stall_every_s: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.loss, self.reorder, self.corrupt)
        if min(shares) < 0 or not sum(shares) <= 1:
            raise TrueflowError("shares of packets", where="--loss, --reorder, --corrupt", expected="0 to 1 in all")
        for name in ("jitter_s", "stall_s", "stall_every_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise TrueflowError("not a duration", where=name, found=getattr(self, name), expected="seconds, >= 0")

    def generator(self) -> np.random.Generator:
        """Draws for `fate` and `delay_s`."""
        return np.random.default_rng(self.seed)

    def fate(self, generator: np.random.Generator) -> Fate:
        """What happens to the next packet."""
        draw = float(generator.random())
        for fate, share in (("lost", self.loss), ("reordered", self.reorder), ("corrupted", self.corrupt)):
            if draw < share:
                return fate  # type: ignore[return-value]
            draw -= share
        return "sent"

    def delay_s(self, generator: np.random.Generator) -> float:
        """How late the next packet is sent."""
        return self.jitter_s * float(generator.random())


@dataclass(slots=True)
class Tally:
    """What was done, ready for JSON."""

    n_packets: int = 0
    n_lost: int = 0
    n_reordered: int = 0
    n_corrupted: int = 0
    n_stalls: int = 0
