"""Floating-point operations of a frame, kernel by kernel, counted in the kernels' text; and bytes, from their arrays.

A product, a sum, a quotient and a square root are one operation each. What is not in `FLOPS` compares, counts and moves
integers: its limit is the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from trueflow.kernels.regions import RegionUnwrapper
from trueflow.models.weights import Network
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.stages import Beamform

__all__ = ["FLOPS", "Numbers", "filled_shares", "launch_bytes", "network_flops", "numbers_of"]

Numbers = Mapping[str, float]

# Of `sincos_turns`, of `log2_approximate`, `exp2_approximate` and `atan2_turns` (math.cuh).
SINCOS, LOG2, EXP2, ATAN2 = 22, 10, 16, 20
# Of delay-and-sum for an element and pixel, whatever the pulses: distance, delay, window, rotation.
WINDOW = 11
DELAY = 26 + SINCOS + WINDOW
UNIT_PHASOR = 14
AGREEMENT_NEIGHBOURS = 25
COUNT_REGIONS, PAIRS_PER_REGION = 0, 3.0  # as in regions.cuh and regions.py


def _per_pixel(flops: float) -> Callable[[Numbers], float]:
    return lambda n: n["pixels"] * flops


def _box(n: Numbers) -> float:
    """One pass: three numbers a pixel of the window, and their scale."""
    return n["pixels"] * (3 * n["window"] + 4)


def _sub_bands(n: Numbers) -> float:
    """Near flow: a tap turns a sample back (6) and adds it to two sums (8); bands (4), powers and lags of both (24)."""
    return n["pixels_near_flow"] * n["pulses"] * (n["band_taps"] * (14 if n["band_carrier"] else 8) + 28)


FLOPS: dict[str, Callable[[Numbers], float]] = {
    "demodulate.demodulate_i16": lambda n: n["channels"] * n["iq_samples"] * n["pulses"] * (4 * n["taps"] + 8),
    "das.das": lambda n: n["pixels"] * n["elements"] * (14 * n["pulses"] + DELAY),
    "autocorrelate.envelope": lambda n: n["pixels"] * (4 * n["pulses"] + 2),
    "clutter.slow_time_matrix": lambda n: n["pixels"] * 4 * n["pulses"] ** 2,
    "autocorrelate.autocorrelate": lambda n: n["pixels"] * (12 * n["pulses"] + 4),
    "maps.box_average": _box,
    "maps.phase_coherence": _per_pixel(ATAN2 + UNIT_PHASOR + 5),
    "flow_mask.flow_gate": _per_pixel(1),
    "flow_mask.majority": _per_pixel(1),
    "sub_bands.sub_bands": _sub_bands,
    "maps.second_phase": _per_pixel(2 * UNIT_PHASOR + 6),
    "features.features": _per_pixel(SINCOS + 2 + 2 * (LOG2 + 2)),
    "features.second_features": lambda n: n["pixels_near_flow"] * 17,
    "fold_classes.fold_classes": _per_pixel(6 * (EXP2 + 4)),
    "fold_agreement.fold_agreement": _per_pixel(AGREEMENT_NEIGHBOURS * 28 + 20),
    "region_label.region_prepare": _per_pixel(SINCOS),
    "region_paint.region_paint": _per_pixel(10),
    "maps.unfold": _per_pixel(1),
    "maps.unwrapped_turns": _per_pixel(1),
}


def numbers_of(flow: ColorFlow, frame: ColorFrame) -> dict[str, float]:
    """What loops run to, of a chain that has made this frame."""
    beamform, a = flow._beamform, flow.acquisition
    assert isinstance(beamform, Beamform)
    span, demodulator = beamform._das._range, beamform._demodulator
    doppler, mask = flow.config.doppler, np.asarray(frame.velocity.mask)
    near = ndimage.binary_dilation(mask, np.ones((doppler.average_z, doppler.average_x)))
    numbers = {
        "pixels": float(np.prod(flow.grid.shape)),
        "pixels_near_flow": float(np.count_nonzero(near)),
        "pulses": float(a.n_ensemble),
        "channels": float(a.probe.n_elements * a.n_transmits),
        "elements": float((span[..., 1] - span[..., 0]).clip(0).mean() * a.n_transmits),
        "iq_samples": float(demodulator.n_iq_samples),
        "taps": float(demodulator._params["n_taps"]),
        "window": (doppler.average_z + doppler.average_x) / 2,
        "band_taps": 0.0,
        "band_carrier": 0.0,
    }
    second = getattr(flow._second_phase, "_phase", None)
    if second is not None:
        numbers["band_taps"] = 2.0 * float(second._params[0]["half"]) + 1
        numbers["band_carrier"] = float(second._params[0]["has_carrier"])
    return numbers


def filled_shares(unwrap: RegionUnwrapper) -> dict[int, float]:
    """How much of the engine's tables of regions and pairs a frame has filled, by the tables' addresses."""
    n_regions = float(np.asarray(unwrap._counters)[COUNT_REGIONS])
    shares = {
        unwrap._n_regions: n_regions / unwrap._n_regions,
        unwrap._n_slots: PAIRS_PER_REGION * n_regions / unwrap._n_slots,
    }
    found = {}
    for array in _arrays(vars(unwrap).values()):
        if array.ndim and len(array) in shares:
            found[array.ctypes.data] = min(shares[len(array)], 1.0)
    return found


def _arrays(values: Any) -> list[np.ndarray[Any, Any]]:
    found = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _arrays(value)
    return found


def launch_bytes(arrays: Sequence[np.ndarray[Any, Any]], shares: Mapping[int, float]) -> float:
    """Bytes that a launch must move: each of its arrays once; of tables, what is filled."""
    distinct = {array.ctypes.data: array.nbytes for array in arrays}
    return float(sum(n_bytes * shares.get(address, 1.0) for address, n_bytes in distinct.items()))


def network_flops(network: Network, shape: tuple[int, int], n_features: int) -> tuple[float, float]:
    """Products and sums of a network's convolutions for an image, and bytes of its weights."""
    import openvino

    model = openvino.Core().read_model(network.onnx)
    model.reshape([1, n_features, *shape])
    flops = weights = 0.0
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind not in ("Convolution", "ConvolutionBackpropData"):
            continue
        kernel, of = list(node.input(1).get_shape()), node.output(0) if kind == "Convolution" else node.input(0)
        places = float(np.prod(list(of.get_shape())[2:]))
        flops += 2 * places * float(np.prod(kernel))
        weights += float(np.prod(kernel)) * (1 if network.precision == "int8" else 4)
    return flops, weights
