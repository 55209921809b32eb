"""`trueflow train` from the outside."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from trueflow.pipeline.cli import cli
from trueflow.pipeline.cli import train as module
from trueflow.pipeline.errors import TrueflowError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["train", *arguments], catch_exceptions=False, standalone_mode=False)
    return result.output


def test_what_is_missing_is_named_before_anything_is_simulated(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrueflowError, match=r"no tensorflow, onnx, onnxruntime.*trueflow\[train\]"):
        run("-o", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_a_training_is_not_begun_over_another(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(TrueflowError, match="holds a training already"):
        run("-o", str(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # TensorFlow's
def test_one_command_makes_frames_and_a_network_from_nothing(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="training needs trueflow[train]")
    monkeypatch.setattr(module, "STEPS", 2)
    monkeypatch.setitem(module.SIZES, "tiny", module._Size(scenes=2, validation=1, test=1, epochs=1))
    output = run("-o", str(tmp_path / "out"), "--size", "tiny")
    weights = tmp_path / "out" / "weights"
    assert str(weights) in output
    names = {path.name for path in weights.iterdir()}
    assert names == {"unet.onnx", "unet_fp16.onnx", "unet_int8.onnx", "weights.json", "MODEL_CARD.md"}
    assert "bulb" in Path(weights / "MODEL_CARD.md").read_text()
