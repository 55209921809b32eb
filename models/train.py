"""Training of the segmentation network in Keras: seeded, resumable, with a log."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trueflow.models.data import Frames, batches, cropped, padded
from trueflow.models.metrics import FoldCounts, count
from trueflow.models.network import build
from trueflow.models.openvino_runtime import import_openvino

__all__ = ["BEST", "EpochReport", "TrainSettings", "evaluate", "onnx_predictor", "predictor", "train"]

T = TypeVar("T")

BEST, LOG, STATE = "best.weights.h5", "log.csv", "state.json"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    epochs, steps : int
        Batches per epoch.
    batch : int
        Frames in a batch.
    shape : (int, int)
        Of the frames, cut out at random; multiples of 16.
    learning_rate : float
        At its highest; it falls as a cosine.
    averaging : float
        Of the running average of weights that is kept.
    seed : int
    validate_every : int
        Epochs.
    """

    epochs: int
    steps: int = 100
    batch: int = 8
    shape: tuple[int, int] = (192, 128)
    learning_rate: float = 3e-3
    averaging: float = 0.995
    seed: int = 1
    validate_every: int = 4


@dataclass(frozen=True, slots=True)
class EpochReport:
    """A row of the log."""

    epoch: int
    loss: float
    seconds: float
    n_frames: int
    aliased_iou: float
    right: float


class _Trainer:
    """Model, running average of its weights, optimizer, and the step that changes them."""

    def __init__(self, settings: TrainSettings) -> None:
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(settings.seed)
        self._tf, self.settings = tf, settings
        self.model: Any = build()
        total = settings.epochs * settings.steps
        warmup = min(200, total // 10)
        schedule = keras.optimizers.schedules.CosineDecay(
            settings.learning_rate / 30, total - warmup, alpha=0.01, warmup_target=settings.learning_rate,
            warmup_steps=warmup,
        )  # fmt: skip
        self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0)
        self._optimizer.build(self.model.trainable_variables)
        self._average = [tf.Variable(w.numpy()) for w in self.model.weights]
        self._steps = tf.Variable(0, dtype=tf.int64)
        self.checkpoint = tf.train.Checkpoint(
            model=self.model, optimizer=self._optimizer, average=self._average, steps=self._steps
        )
        self.step = tf.function(self._step, reduce_retracing=True)

    def _step(self, inputs: Any, classes: Any, weight: Any) -> Any:
        tf = self._tf
        with tf.GradientTape() as tape:
            scores = self.model(inputs, training=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.cast(classes, tf.int32), logits=scores)
            loss = tf.reduce_sum(loss * weight) / (tf.reduce_sum(weight) + 1.0)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        self._steps.assign_add(1)
        done = tf.cast(self._steps, tf.float32)
        kept = tf.minimum(self.settings.averaging, (1.0 + done) / (10.0 + done))
        for mean, now in zip(self._average, self.model.weights, strict=True):
            mean.assign(kept * mean + (1.0 - kept) * now.value)
        return loss

    def averaged(self) -> Any:
        """A model with the averaged weights."""
        model = build()
        model.set_weights([w.numpy() for w in self._average])
        return model


def train(
    folder: Path,
    validation: Path,
    output: Path,
    settings: TrainSettings,
    *,
    resume: bool = False,
    report: Callable[[EpochReport], None] = lambda report: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Train on the frames of one folder, keep the best weights by those of another.

    Parameters
    ----------
    folder, validation : Path
        Files of `trueflow.pipeline.training`.
    output : Path
        Folder of checkpoints, log and the best weights.
    settings : TrainSettings
    resume : bool
        Go on from the last checkpoint in `output`, with the settings it was begun with.
    report, advance : callable
        Told after each epoch, and each step (done, total).

    Returns
    -------
    Path
        Of the best weights, for `trueflow.models.network.build`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    output.mkdir(parents=True, exist_ok=True)
    frames, checks = Frames(folder), Frames(validation)
    trainer = _Trainer(settings)
    state: dict[str, Any] = {"epoch": 0, "best": -1.0}
    if resume and (output / STATE).exists():
        state = json.loads((output / STATE).read_text())
        trainer.checkpoint.read(str(output / f"epoch-{state['epoch'] % 2}")).assert_consumed()
    for epoch in range(state["epoch"], settings.epochs):
        frames.refresh()
        began, losses = time.monotonic(), []
        random = np.random.default_rng([settings.seed, epoch])
        source = batches(frames, size=settings.batch, shape=settings.shape, random=random)
        for step, batch in enumerate(_ahead(source, settings.steps)):
            losses.append(float(trainer.step(*batch)))
            advance(epoch * settings.steps + step + 1, settings.epochs * settings.steps)
        counts = FoldCounts()
        if (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs:
            model = trainer.averaged()
            counts = reduce(add, evaluate(predictor(model), checks).values())
            if counts.right + counts.aliased_iou > state["best"]:
                state["best"] = counts.right + counts.aliased_iou
                model.save_weights(output / BEST)
        done = EpochReport(
            epoch + 1, float(np.mean(losses)), time.monotonic() - began, len(frames), counts.aliased_iou, counts.right
        )
        state["epoch"] = epoch + 1
        trainer.checkpoint.write(str(output / f"epoch-{state['epoch'] % 2}"))  # two by turns: one is always whole
        (output / STATE).write_text(json.dumps(state))
        _log(output / LOG, done)
        report(done)
    return output / BEST


def _ahead(source: Iterator[T], n: int) -> Iterator[T]:
    """The first n of a source, the next one being made while one is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source)
        for left in range(n - 1, -1, -1):
            now = coming.result()
            if left:
                coming = pool.submit(next, source)
            yield now


def _log(path: Path, row: EpochReport) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(row)))
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def predictor(model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Class scores (6, n_z, n_x) of the inputs (10, n_z, n_x) of a frame, by a Keras model."""
    import tensorflow as tf

    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def predict(inputs: NDArray[Any]) -> NDArray[np.float32]:
        scores = run(np.moveaxis(padded(inputs), 0, -1)[None]).numpy()[0]
        return np.asarray(cropped(np.moveaxis(scores, -1, 0), inputs.shape[1:]))

    return predict


def onnx_predictor(path: Path, n_threads: int = 1) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The same by OpenVINO from an ONNX file."""
    openvino = import_openvino()
    # Processors with bfloat16 would otherwise round float32 to it.
    options = {"INFERENCE_NUM_THREADS": n_threads, "INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(str(path), "CPU", options)

    def predict(inputs: NDArray[Any]) -> NDArray[np.float32]:
        (scores,) = network(padded(inputs)[None]).values()
        return np.array(cropped(scores[0], inputs.shape[1:]))

    return predict


def evaluate(predict: Callable[[NDArray[Any]], NDArray[Any]], frames: Frames) -> dict[str, FoldCounts]:
    """Counts of each family."""
    found: dict[str, FoldCounts] = {}
    for frame, family in zip(frames.frames, frames.families, strict=True):
        found[family] = found.get(family, FoldCounts()) + count(predict(frame.inputs), frame)
    return found
