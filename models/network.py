"""The segmentation network: a U-Net as a table of layers, and Keras' form of it.

Most work is done at half of the image's resolution. The last layers see the input again, four pixels at a time, beside
what the U-Net made of the surroundings: borders of folds are as sharp as the phase's own.

The table is what is exported, too (`trueflow.models.export`): convolutions, ReLU, doubling, joining, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trueflow.models.features import CLASSES, N_CHANNELS

__all__ = ["LAYERS", "Layer", "build", "u_net"]

EPSILON = 1e-3  # of batch normalization


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of the table.

    Parameters
    ----------
    name : str
    kind : {"conv", "up", "join", "out"}
        Convolution, normalization and ReLU; twice the size; channels side by side; the class scores, twice the size.
    inputs : tuple of str
        Names of layers, or "input".
    filters, kernel, stride, dilation : int
        Of a convolution. Padding keeps the size, or halves it.
    """

    name: str
    kind: Literal["conv", "up", "join", "out"]
    inputs: tuple[str, ...]
    filters: int = 0
    kernel: int = 3
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        """Zeros on each side."""
        return self.dilation * (self.kernel - 1) // 2


def u_net(widths: Sequence[int] = (16, 32, 48, 64), *, head: int = 48) -> tuple[Layer, ...]:
    """The table of a U-Net.

    Parameters
    ----------
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8, ... of the resolution.
    head : int
        Channels of the last layer but one.
    """
    layers: list[Layer] = []

    def add(name: str, kind: Literal["conv", "up", "join", "out"], *inputs: str, **settings: int) -> str:
        layers.append(Layer(name, kind, inputs, **settings))
        return name

    now, levels = "input", []
    for level, width in enumerate(widths, start=1):
        now = add(f"down{level}", "conv", now, filters=width, stride=2)
        now = add(f"see{level}", "conv", now, filters=width)
        levels.append(now)
    now = add("wide", "conv", now, filters=widths[-1], dilation=2)
    now = add("wider", "conv", now, filters=widths[-1], dilation=3)
    for level in range(len(widths) - 1, 0, -1):
        grown = add(f"up{level}", "up", now)
        joined = add(f"join{level}", "join", grown, levels[level - 1])
        now = add(f"mix{level}", "conv", joined, filters=widths[level - 1])
    near = add("near", "conv", "input", filters=4 * N_CHANNELS, kernel=2, stride=2)
    joined = add("join0", "join", now, near)
    now = add("head", "conv", joined, filters=head, kernel=1)
    add("scores", "out", now, filters=len(CLASSES))
    return tuple(layers)


LAYERS = u_net()


def build(layers: Sequence[Layer] = LAYERS) -> Any:
    """The Keras model: (n, H, W, 10) float32 to scores of classes (n, H, W, 6), before softmax."""
    import keras

    made = {"input": keras.Input((None, None, N_CHANNELS), name="input")}
    for layer in layers:
        made[layer.name] = _keras_layer(keras, layer, [made[name] for name in layer.inputs])
    return keras.Model(made["input"], made[layers[-1].name])


def _keras_layer(keras: Any, layer: Layer, inputs: list[Any]) -> Any:
    k = keras.layers
    if layer.kind == "join":
        return k.Concatenate(name=layer.name)(inputs)
    (x,) = inputs
    if layer.kind == "up":
        return k.UpSampling2D(2, interpolation="nearest", name=layer.name)(x)
    if layer.kind == "out":
        return k.Conv2DTranspose(layer.filters, 2, strides=2, padding="valid", name=layer.name)(x)
    if layer.padding:
        x = k.ZeroPadding2D(layer.padding)(x)
    x = k.Conv2D(
        layer.filters,
        layer.kernel,
        strides=layer.stride,
        dilation_rate=layer.dilation,
        padding="valid",
        use_bias=False,
        kernel_initializer="he_normal",
        name=layer.name,
    )(x)
    x = k.BatchNormalization(momentum=0.98, epsilon=EPSILON, name=f"{layer.name}_norm")(x)
    return k.ReLU(name=f"{layer.name}_relu")(x)
