"""TensorRT: plans are built, kept, rebuilt when stale; launches go to the device's stream and arrays.

The runtime half meets a stand-in, which writes down what it is asked; the builder half is the real TensorRT-RTX where
that is installed: it needs no GPU.
"""

from __future__ import annotations

import importlib
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from networks import tiny_network

from trueflow.models import tensorrt_engine
from trueflow.models.plans import PlanKey, build_plan, cache_folder, keep_plan, kept_plan
from trueflow.models.tensorrt_engine import TensorRtEngine, load_module
from trueflow.models.weights import Network, NetworkError, available, load_shipped

from .fake_tensorrt import FakeGpu, FakeGpuArray, FakeTensorRt

PADDED = (48, 32)
NETWORK = Network("unet_int8", "int8", "abc", b"onnx")


def engine(trt: FakeTensorRt, cache: Path, *, network: Network = NETWORK, gpu: Any = None) -> TensorRtEngine:
    with mock.patch.object(tensorrt_engine, "load_module", return_value=trt):
        return TensorRtEngine(gpu or FakeGpu(), network, padded=PADDED, cache=cache)


def built(trt: FakeTensorRt) -> int:
    return sum(call[0] == "build" for call in trt.calls)


def test_the_first_use_builds_a_strongly_typed_network_of_this_size_and_says_so(tmp_path, caplog):
    trt = FakeTensorRt()
    with caplog.at_level(logging.WARNING):
        engine(trt, tmp_path)
    assert ("create_network", 1 << 3) in trt.calls
    assert ("build", (1, 10, *PADDED)) in trt.calls
    assert "building unet_int8 for NVIDIA RTX A4000 by tensorrt 10.9.0" in caplog.text


def test_the_next_use_takes_the_kept_plan(tmp_path, caplog):
    engine(FakeTensorRt(), tmp_path)
    caplog.clear()
    trt = FakeTensorRt()
    engine(trt, tmp_path)
    assert built(trt) == 0
    assert trt.calls[0] == ("deserialize", b"plan of 48 x 32")
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trt": FakeTensorRt(__version__="10.10.0")}, "stale: version was 10.9.0"),
        ({"network": replace(NETWORK, sha256="def")}, "stale: network_sha256 was abc"),
    ],
)
def test_a_stale_plan_is_built_anew_and_the_log_says_why(tmp_path, caplog, change, words):
    engine(FakeTensorRt(), tmp_path)
    trt = change.get("trt") or FakeTensorRt()
    engine(trt, tmp_path, network=change.get("network", NETWORK))
    assert built(trt) == 1
    assert words in caplog.text
    assert len(list(tmp_path.iterdir())) == 1  # it took the other's place


@pytest.mark.parametrize("attribute", [{"product": "NVIDIA Orin"}, {"compute_capability": 87}])
def test_another_gpu_has_a_plan_of_its_own(tmp_path, attribute):
    engine(FakeTensorRt(), tmp_path)
    gpu = FakeGpu()
    for name, value in attribute.items():
        setattr(gpu, name, value)
    for expected in (1, 0):
        trt = FakeTensorRt()
        engine(trt, tmp_path, gpu=gpu)
        assert built(trt) == expected
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"junk", b"[]\nplan", b"{}\n"])
def test_a_damaged_plan_is_built_anew(tmp_path, caplog, content):
    engine(FakeTensorRt(), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    trt = FakeTensorRt()
    engine(trt, tmp_path)
    assert built(trt) == 1
    assert path.name in caplog.text


def test_a_kept_plan_that_tensorrt_refuses_is_built_anew(tmp_path, caplog):
    key = PlanKey("unet_int8", "abc", PADDED, "tensorrt", "10.9.0", FakeGpu.product, "sm_86")
    keep_plan(key, b"from another driver", tmp_path)
    trt = FakeTensorRt(takes_plans=(b"plan of 48 x 32",))
    engine(trt, tmp_path)
    assert "refused: not my plan" in caplog.text
    assert kept_plan(key, tmp_path) == b"plan of 48 x 32"


def test_a_folder_that_cannot_be_written_costs_no_more_than_the_next_build(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    engine(FakeTensorRt(), tmp_path / "file")
    assert "cannot be kept" in caplog.text


def test_launches_go_to_the_devices_stream_and_arrays(tmp_path):
    trt = FakeTensorRt()
    run = engine(trt, tmp_path)
    trt.calls.clear()
    logits = run(FakeGpuArray((1, 10, *PADDED), 1000))
    assert trt.calls == [("address", "input", 1000), ("execute", 777)]
    assert logits.data.ptr == 2000
    assert logits.shape == (1, 6, *PADDED)


def test_a_launch_that_fails_is_an_error(tmp_path):
    run = engine(FakeTensorRt(runs=False), tmp_path)
    with pytest.raises(RuntimeError, match="cannot run the network"):
        run(FakeGpuArray((1, 10, *PADDED), 1000))


@pytest.mark.parametrize(
    ("trt", "words"),
    [
        (FakeTensorRt(parses=False), "cannot parse the network unet_int8: node 3: no such thing"),
        (FakeTensorRt(builds=False), "cannot build the network unet_int8: out of patience"),
        (FakeTensorRt(n_outputs=3), r"expected one input \(1, 10, H, W\) and one output \(1, 6, H, W\)"),
        (FakeTensorRt(takes_plans=()), "refuses its own plan: not my plan"),
    ],
)
def test_what_tensorrt_does_not_take_is_an_error_in_its_own_words(tmp_path, trt, words):
    with pytest.raises(NetworkError, match=words):
        engine(trt, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_module_is_chosen_at_run_time_tensorrt_first():
    found = {"tensorrt": mock.sentinel.full, "tensorrt_rtx": mock.sentinel.rtx}

    def load(name: str) -> Any:
        if name not in found:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return found[name]

    with mock.patch.object(importlib, "import_module", load):
        assert load_module() is mock.sentinel.full
        del found["tensorrt"]
        assert load_module() is mock.sentinel.rtx
        del found["tensorrt_rtx"]
        with pytest.raises(NetworkError, match=r"No module named 'tensorrt'.*\[tensorrt-rtx\].*segment\.engine"):
            load_module()


def test_bindings_without_libraries_are_as_good_as_none():
    def load(name: str) -> Any:
        raise OSError("libnvinfer.so.11: cannot open shared object file")

    with mock.patch.object(importlib, "import_module", load), pytest.raises(NetworkError, match="libnvinfer"):
        load_module()


def test_plans_are_kept_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TRUEFLOW_CACHE", raising=False)
    assert cache_folder() == tmp_path / "trueflow"
    monkeypatch.setenv("TRUEFLOW_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize("target", ["SM75", "SM86", "SM120"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_rtx_builds_the_shipped_network(target, precision):
    trt = pytest.importorskip("tensorrt_rtx")
    if precision not in available():
        pytest.skip(f"no network in {precision} is shipped")
    plan = build_plan(trt, load_shipped((precision,)), (256, 192), targets=[target])
    assert len(plan) > 100_000


def test_tensorrt_rtx_says_what_it_does_not_take():
    trt = pytest.importorskip("tensorrt_rtx")
    with pytest.raises(NetworkError, match="cannot parse the network noise"):
        build_plan(trt, Network("noise", "own", "0", b"no network"), PADDED, targets=["SM86"])
    with pytest.raises(NetworkError, match="expected one input"):
        build_plan(trt, Network("other", "own", "0", tiny_network(n_outputs=5)), PADDED, targets=["SM86"])


def test_a_plan_that_others_can_write_is_not_used(tmp_path, caplog):
    """It is a program for the GPU."""
    engine(FakeTensorRt(), tmp_path)
    (plan,) = tmp_path.iterdir()
    assert plan.stat().st_mode & 0o777 == 0o600
    plan.chmod(0o662)
    trt = FakeTensorRt()
    engine(trt, tmp_path)
    assert built(trt) == 1
    assert "is not used: others than you can write it" in caplog.text
    assert plan.stat().st_mode & 0o777 == 0o600


def test_a_plan_is_not_written_through_a_link(tmp_path):
    (tmp_path / "cache").mkdir()
    engine(FakeTensorRt(), tmp_path / "cache")
    (plan,) = (tmp_path / "cache").iterdir()
    plan.unlink()
    part = plan.with_suffix(f".{os.getpid()}.part")
    part.symlink_to(tmp_path / "elsewhere")
    engine(FakeTensorRt(), tmp_path / "cache")
    assert not (tmp_path / "elsewhere").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [plan.name]
