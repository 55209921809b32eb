"""A frame's launches recorded once as a CUDA graph and replayed with one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.cuda_setup import our_errors

if TYPE_CHECKING:
    from trueflow.kernels.cuda import CudaDevice

__all__ = ["FrameGraph"]

Result = TypeVar("Result")


class FrameGraph(Generic[Result]):
    """Calls `frame`, from the second time on by replaying what it launched.

    The first call runs the frame as it is: it plans, compiles and makes shapes known. The second records. Later calls
    upload their inputs and launch the graph. Inputs of another shape, another `key` or `reset` begin anew.

    A graph's memory is its own: nothing else is ever allocated where its intermediate arrays lie.

    Parameters
    ----------
    device : CudaDevice
    frame : callable
        Host arrays in, anything with device arrays out. It uploads each of its arrays with `device.upload`, once and in
        order, and neither downloads nor waits.
    carried : callable, optional
        Lists the device arrays that one frame leaves for the next (persistence, filter states), always in one order;
        None stands for one that is not there yet.

    Notes
    -----
    A replayed frame returns the arrays of the recorded one: they are valid until the next call.
    """

    def __init__(
        self,
        device: CudaDevice,
        frame: Callable[..., Result],
        *,
        carried: Callable[[], Sequence[Any]] = tuple,
    ) -> None:
        self._device, self._frame, self._carried = device, frame, carried
        self._key: Hashable = None
        self.reset()

    def reset(self) -> None:
        """Forget the recording: the next call runs the frame as it is, the one after that records."""
        self._planned = False
        self._graph: Any = None
        self._result: Result | None = None
        self._inputs: list[Any] = []
        self._kept: list[Any] = []

    @property
    def recorded(self) -> bool:
        """Whether the next call of the same kind replays."""
        return self._graph is not None

    def __call__(self, *inputs: NDArray[Any], key: Hashable = None) -> Result:
        """One frame.

        Parameters
        ----------
        inputs : arrays on the host
        key : hashable, optional
            What the frame decides on the host (a branch taken, a number passed by value): a recording holds for one.
        """
        kind = (key, *((array.shape, array.dtype.str) for array in inputs))
        if kind != self._key:
            self.reset()
            self._key = kind
        if not self._planned:
            self._planned = True
            return self._frame(*inputs)
        if self._graph is None:
            self._record(inputs)
        return self._replay(inputs)

    def _record(self, inputs: Sequence[NDArray[Any]]) -> None:
        device = self._device
        before = list(self._carried())
        # Not in the graph's own memory, where an earlier array of the frame might lie at the same place.
        places = [device.empty(array.shape, array.dtype) for array in inputs]
        with device.recording(places) as recording:
            self._result = self._frame(*inputs)
            after = list(self._carried())
            if recording.inputs:
                raise RuntimeError(f"the frame uploaded {len(inputs) - len(recording.inputs)} of {len(inputs)} arrays")
            self._kept = [recording.pool, before, after, *_carry(device, before, after)]
        self._graph, self._inputs = recording.graph, places

    def _replay(self, inputs: Sequence[NDArray[Any]]) -> Result:
        device = self._device
        for place, host in zip(self._inputs, inputs, strict=True):
            device.copy(device.upload(host), place)
        with our_errors(device.xp, "replaying a frame"):
            self._graph.launch(stream=device.stream)
        assert self._result is not None
        return self._result


def _carry(device: CudaDevice, before: list[Any], after: list[Any]) -> list[Any]:
    """Puts what a frame left where the next replay looks for it. By way of copies: filters swap two arrays."""
    if len(before) != len(after):
        raise RuntimeError(f"{len(before)} arrays carried before the frame, {len(after)} after it")
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old is not new]
    if any(old is None or new is None for old, new in pairs):
        raise RuntimeError("a frame that begins or ends to carry an array cannot be replayed: give it another key")
    copies = [device.empty(new.shape, np.dtype(new.dtype)) for _, new in pairs]
    for copy, (_, new) in zip(copies, pairs, strict=True):
        device.copy(new, copy)
    for copy, (old, _) in zip(copies, pairs, strict=True):
        device.copy(copy, old)
    return copies
