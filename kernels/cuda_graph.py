"""A frame's launches recorded once as a CUDA graph and replayed with one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from trueflow.kernels.cuda_setup import our_errors

if TYPE_CHECKING:
    from trueflow.kernels.cuda import CudaDevice

__all__ = ["FrameGraph"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Tape:
    """A recorded frame: its graph, and the arrays that a replay fills."""

    graph: Any
    result: Any


class FrameGraph:
    """Replays what a frame launched.

    Frames of one kind launch the same kernels on the same memory. The first of a kind runs as it is: it plans, compiles
    and makes shapes known. The second is recorded. Later ones upload their inputs and launch the graph. Inputs of
    another shape or type, and `reset`, begin anew.

    A graph knows addresses, not arrays: what one frame leaves for the next must lie in arrays that are made once, and
    so must tables. What a frame allocates meanwhile comes from memory that only recorded frames use.

    Parameters
    ----------
    device : CudaDevice
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._inputs: tuple[tuple[Any, str], ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget all recordings: the next frame of each kind runs as it is, the one after that is recorded."""
        self._seen: set[Hashable] = set()
        self._tapes: dict[Hashable, _Tape] = {}
        self._places: list[Any] = []

    @property
    def n_recorded(self) -> int:
        """Kinds of frames that are replayed."""
        return len(self._tapes)

    def __call__(
        self, frame: Callable[[], Result], inputs: Sequence[Any], *, kind: Hashable = None
    ) -> tuple[Result, bool]:
        """One frame.

        Parameters
        ----------
        frame : callable
            Makes the frame. It uploads each of `inputs` with `device.upload`, once and in order, and neither downloads
            nor waits. Not called for a replay: what it does on the host besides is then the caller's to do.
        inputs : sequence of arrays
        kind : hashable
            All that the frame decides on the host: branches taken, numbers passed by value. There should be few.

        Returns
        -------
        result
            Of a replay: that of the recorded frame, whose arrays the next replay of its kind overwrites.
        replayed : bool
        """
        shapes = tuple((tuple(array.shape), np.dtype(array.dtype).str) for array in inputs)
        if shapes != self._inputs:
            self.reset()
            self._inputs = shapes
        if kind not in self._seen:
            self._seen.add(kind)
            return frame(), False
        if kind not in self._tapes:
            self._tapes[kind] = self._record(frame, inputs)
        tape = self._tapes[kind]
        self._replay(tape, inputs)
        return tape.result, True

    def _record(self, frame: Callable[[], Result], inputs: Sequence[Any]) -> _Tape:
        device = self._device
        if not self._places:  # not in the graphs' own memory, where an earlier array of the frame might lie there
            self._places = [device.empty(array.shape, array.dtype) for array in inputs]
        with device.recording(self._places) as recording:
            result = frame()
            if recording.inputs:
                raise RuntimeError(f"the frame uploaded {len(inputs) - len(recording.inputs)} of {len(inputs)} arrays")
        return _Tape(recording.graph, result)

    def _replay(self, tape: _Tape, inputs: Sequence[Any]) -> None:
        device = self._device
        for place, array in zip(self._places, inputs, strict=True):
            device.copy(device.upload(array), place)
        with our_errors(device.xp, "replaying a frame"):
            tape.graph.launch(stream=device.stream)
