"""Training in Keras: it learns, it goes on where it stopped, and what is exported says the same as what was trained."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from flow_frames import save, tube_frame

pytest.importorskip("tensorflow", reason="training needs trueflow[train]")
pytest.importorskip("onnxruntime", reason="training needs trueflow[train]")

from trueflow.models.data import padded
from trueflow.models.export import export, folded_weights, write_onnx
from trueflow.models.network import build
from trueflow.models.train import BEST, EpochReport, TrainSettings, onnx_predictor, predictor, train
from trueflow.models.weights import FILES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # TensorFlow's

SETTINGS = TrainSettings(epochs=3, steps=4, batch=2, shape=(32, 32), validate_every=1, seed=3)


class StopError(Exception):
    """Somebody pulls the plug."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    save(folder, "a", "straight", [tube_frame(peak_turns=p, seed=i) for i, p in enumerate((-1.4, 0.4, 1.2))])
    return folder


@pytest.fixture(scope="module")
def trained(frames, tmp_path_factory) -> tuple[Path, list[EpochReport]]:
    output, rows = tmp_path_factory.mktemp("trained"), []
    train(frames, frames, output, SETTINGS, report=rows.append)
    return output, rows


def test_the_loss_falls(trained):
    _, rows = trained
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert rows[-1].loss < rows[0].loss


def test_the_log_has_a_line_per_epoch(trained):
    output, rows = trained
    with (output / "log.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in logged] == [row.loss for row in rows]


def test_a_training_that_was_cut_off_goes_on_as_if_it_had_not_been(frames, trained, tmp_path):
    def stop(row: EpochReport) -> None:
        if row.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        train(frames, frames, tmp_path, SETTINGS, report=stop)
    rows: list[EpochReport] = []
    train(frames, frames, tmp_path, SETTINGS, resume=True, report=rows.append)
    assert [row.epoch for row in rows] == [3]
    # oneDNN's threads add up in any order.
    assert rows[0].loss == pytest.approx(trained[1][-1].loss, rel=0.02)


def test_keras_and_onnx_say_the_same(trained, tmp_path):
    model = build()
    model.load_weights(trained[0] / BEST)
    write_onnx(folded_weights(model), tmp_path / "u.onnx")
    inputs = tube_frame((60, 45), seed=9).inputs
    keras, onnx = predictor(model)(inputs), onnx_predictor(tmp_path / "u.onnx")(inputs)
    # Float32 sums over at most 1000 products, in another order.
    np.testing.assert_allclose(onnx, keras, atol=1e-5 * np.abs(keras).max())


def test_every_precision_is_exported_and_runs(trained, tmp_path):
    frame = tube_frame((60, 45), seed=9)
    export(trained[0] / BEST, tmp_path, [padded(tube_frame(seed=s).inputs) for s in range(3)])
    full = onnx_predictor(tmp_path / FILES["fp32"])(frame.inputs)
    for precision, tolerance in (("fp16", 0.02), ("int8", 0.2)):
        apart = onnx_predictor(tmp_path / FILES[precision])(frame.inputs) - full
        assert np.sqrt(np.mean(apart**2)) < tolerance * full.std()


def test_int8_is_symmetric_and_leaves_biases_alone(trained, tmp_path):
    import onnx
    from onnx import numpy_helper

    export(trained[0] / BEST, tmp_path, [padded(tube_frame().inputs)])
    graph = onnx.load(tmp_path / FILES["int8"]).graph
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    quantized = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert quantized
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    biases = [array for name, array in constants.items() if name.endswith("_bias")]
    assert biases
    assert all(bias.dtype == np.float32 for bias in biases)
