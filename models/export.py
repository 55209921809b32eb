"""The trained network as ONNX: float32, float16, and int8 by symmetric Q/DQ pairs, for OpenVINO and TensorRT alike.

Normalization is folded into the convolutions. Images may have any size that is a multiple of 16; the batch is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.models.features import CLASSES, N_CHANNELS
from trueflow.models.network import EPSILON, LAYERS, Layer, build
from trueflow.models.weights import FILES

__all__ = ["Folded", "export", "folded_weights", "quantize", "write_onnx"]

OPSET = 17
Folded = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]  # by layer: kernel as ONNX has it, bias


def folded_weights(model: Any, layers: Sequence[Layer] = LAYERS) -> Folded:
    """Kernels (out, in, rows, columns) and biases of a Keras model, normalization folded in.

    The last layer's, a transposed convolution's, is (in, out, rows, columns).
    """
    found = {}
    for layer in layers:
        if layer.kind == "conv":
            (kernel,) = model.get_layer(layer.name).get_weights()
            gamma, beta, mean, variance = (
                w.astype(np.float64) for w in model.get_layer(f"{layer.name}_norm").get_weights()
            )
            scale = gamma / np.sqrt(variance + EPSILON)
            found[layer.name] = (
                np.ascontiguousarray((kernel * scale).transpose(3, 2, 0, 1), np.float32),
                (beta - mean * scale).astype(np.float32),
            )
        elif layer.kind == "out":
            kernel, bias = model.get_layer(layer.name).get_weights()  # (rows, columns, out, in)
            found[layer.name] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32), bias.astype(np.float32)
    return found


def write_onnx(weights: Folded, path: Path, layers: Sequence[Layer] = LAYERS, *, half: bool = False) -> None:
    """One ONNX file: `input` (1, 10, H, W) float32 to `scores` (1, 6, H, W) float32; inside float16 if `half`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")]
    narrow, wide = (TensorProto.FLOAT16 if half else TensorProto.FLOAT), TensorProto.FLOAT
    nodes = [helper.make_node("Cast", ["input"], ["narrow_input"], name="narrow", to=narrow)] if half else []
    for layer in layers:
        inputs = ["narrow_input" if half and name == "input" else name for name in layer.inputs]
        if layer.kind == "join":
            nodes.append(helper.make_node("Concat", inputs, [layer.name], axis=1, name=layer.name))
        elif layer.kind == "up":
            nodes.append(_doubled(helper, layer, inputs))
        else:
            constants += [
                numpy_helper.from_array(array.astype(np.float16 if half else np.float32), f"{layer.name}_{part}")
                for part, array in zip(("kernel", "bias"), weights[layer.name], strict=True)
            ]
            nodes += _convolution(helper, layer, inputs)
    last = layers[-1].name
    if half:
        nodes.append(helper.make_node("Cast", [last], [f"wide_{last}"], name="widen", to=wide))
        last = f"wide_{last}"
    graph = helper.make_graph(
        nodes,
        "trueflow_segmentation",
        [helper.make_tensor_value_info("input", wide, [1, N_CHANNELS, "height", "width"])],
        [helper.make_tensor_value_info(last, wide, [1, len(CLASSES), "height", "width"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="trueflow")
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _doubled(helper: Any, layer: Layer, inputs: list[str]) -> Any:
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return helper.make_node("Resize", [*inputs, "", "twice"], [layer.name], name=layer.name, **modes)


def _convolution(helper: Any, layer: Layer, inputs: list[str]) -> list[Any]:
    operands = [*inputs, f"{layer.name}_kernel", f"{layer.name}_bias"]
    if layer.kind == "out":
        return [
            helper.make_node(
                "ConvTranspose", operands, [layer.name], name=layer.name, kernel_shape=[2, 2], strides=[2, 2]
            )
        ]
    convolution = helper.make_node(
        "Conv",
        operands,
        [f"{layer.name}_sum"],
        name=layer.name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        dilations=[layer.dilation] * 2,
        pads=[layer.padding] * 4,
    )
    return [convolution, helper.make_node("Relu", [f"{layer.name}_sum"], [layer.name], name=f"{layer.name}_relu")]


def export(best: Path, folder: Path, frames: Iterable[NDArray[np.float32]]) -> None:
    """All files of a folder from Keras weights; `frames` as for `quantize`."""
    model = build()
    model.load_weights(best)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folded_weights(model)
    write_onnx(weights, folder / FILES["fp32"])
    write_onnx(weights, folder / FILES["fp16"], half=True)
    quantize(folder / FILES["fp32"], folder / FILES["int8"], frames)


def quantize(source: Path, target: Path, frames: Iterable[NDArray[np.float32]]) -> None:
    """The int8 form of a file.

    Parameters
    ----------
    source, target : Path
    frames : iterable of (10, H, W) float32
        What the ranges of the activations are measured on; H and W multiples of 16.
    """
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationMethod

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._frames = iter(frames)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            frame = next(self._frames, None)
            return None if frame is None else {"input": frame[None]}

    onnxruntime.set_default_logger_severity(3)
    quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        # The last layers see the phase itself: in float32 they cost no more time, and most of what rounding takes away
        # is theirs (aliased IoU 0.897 with them in int8, 0.902 without, 0.904 with nothing in int8).
        nodes_to_exclude=[layer.name for layer in LAYERS[-3:]],
        # Rounding comes behind the ReLU, with which both engines fuse a convolution: before it, half of the range would
        # be spent on what ReLU takes away.
        op_types_to_quantize=["Conv", "ConvTranspose", "Concat", "Resize"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "ConvTranspose"],
        },
    )
