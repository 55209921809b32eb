"""Tiny networks as ONNX, with seeded random weights: what the engines are given where the shipped one would not do."""

from __future__ import annotations

import numpy as np
import pytest


def tiny_network(n_inputs: int = 10, n_outputs: int = 6, *, seed: int = 0, stride: int = 1) -> bytes:
    """3 x 3 convolution, ReLU, 1 x 1 convolution: (1, n_inputs, H, W) to (1, n_outputs, H / stride, W / stride)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    shapes = {"a": (8, n_inputs, 3, 3), "b": (8,), "c": (n_outputs, 8, 1, 1), "d": (n_outputs,)}
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "a", "b"], ["u"], pads=[1, 1, 1, 1], strides=[stride, stride]),
        helper.make_node("Relu", ["u"], ["v"]),
        helper.make_node("Conv", ["v", "c", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, n_inputs, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, n_outputs, "p", "q"])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tiny_logits(tensor: np.ndarray, *, seed: int = 0, n_outputs: int = 6) -> np.ndarray:
    """What `tiny_network` makes of a tensor, in float64."""
    rng = np.random.default_rng(seed)
    shapes = ((8, tensor.shape[1], 3, 3), (8,), (n_outputs, 8, 1, 1), (n_outputs,))
    a, b, c, d = (rng.normal(0, 0.5, shape).astype(np.float32).astype(np.float64) for shape in shapes)
    padded = np.pad(tensor[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    hidden = np.maximum(np.einsum("chwij,ocij->ohw", windows, a) + b[:, None, None], 0)
    return (np.einsum("chw,oc->ohw", hidden, c[:, :, 0, 0]) + d[:, None, None])[None]
