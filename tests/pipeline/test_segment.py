"""The segmentation stage: what it is given, what it gives, and what happens where it cannot be had."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from arrays import complex_noise
from networks import tiny_network

from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.models.segmenter import Segmenter
from trueflow.pipeline import Config, Stamp, TrueflowError
from trueflow.pipeline.config import SegmentConfig
from trueflow.pipeline.dealias import FlowPhase
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, SecondPhase
from trueflow.pipeline.segment import Segment, make_segment

SHAPE = (40, 30)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    path.write_bytes(tiny_network())
    return str(path)


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    r0 = rng.exponential(size=SHAPE).astype(np.float32)
    phase = rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    coherence = rng.random(SHAPE, dtype=np.float32)
    r1 = (r0 * coherence * np.exp(2j * np.pi * phase)).astype(np.complex64)
    second = SecondPhase(0.3 * complex_noise(rng, *SHAPE), ratio_table(0.2))
    stamp = Stamp(7)
    return (
        BmodeFrame(rng.rayleigh(size=SHAPE).astype(np.float32), stamp),
        DopplerFrame(r1, r0, 0.3, stamp, second),
        FlowPhase(phase, 0.6 * phase, coherence, coherence > 0.5),
    )


def test_the_stage_hands_over_what_the_frames_hold(frame, network):
    device, (bmode, doppler, flow) = get_device("cpu", n_threads=2), frame
    segmentation = Segment(device, shape=SHAPE, config=SegmentConfig(network=network))(bmode, doppler, flow)
    assert doppler.second is not None
    expected = Segmenter(device, shape=SHAPE, network=network)(
        doppler.r0, flow.phase_turns, flow.coherence, bmode.envelope, (doppler.second.phasor, doppler.second.table)
    )
    ours = (segmentation.fold_class, segmentation.probability, segmentation.fold_probability)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert segmentation.stamp == doppler.stamp
    assert segmentation.fold_probability.shape == (5, *SHAPE)


def test_the_second_phase_is_heard_where_there_is_one(frame, network):
    device, (bmode, doppler, flow) = get_device("cpu", n_threads=2), frame
    stage = Segment(device, shape=SHAPE, config=SegmentConfig(network=network))
    without = DopplerFrame(doppler.r1, doppler.r0, doppler.nyquist_velocity_m_s, doppler.stamp)
    one, other = (stage(bmode, d, flow).fold_probability for d in (doppler, without))
    assert np.abs(one - other).max() > 0.01


def test_off_is_off():
    assert make_segment(get_device("cpu"), shape=SHAPE, config=SegmentConfig(enabled="off")) is None


def test_auto_goes_on_without_the_runtime_and_says_so(caplog):
    with mock.patch.dict(sys.modules, {"openvino": None}), caplog.at_level(logging.WARNING):
        assert make_segment(get_device("cpu"), shape=SHAPE, config=SegmentConfig(enabled="auto")) is None
    assert "without the segmentation network" in caplog.text
    assert "[segment]" in caplog.text


def test_on_does_not_go_on_without_the_runtime(network):
    config = SegmentConfig(enabled="on", network=network)
    with mock.patch.dict(sys.modules, {"openvino": None}), pytest.raises(TrueflowError, match="pip install openvino"):
        make_segment(get_device("cpu"), shape=SHAPE, config=config)


def test_a_network_that_was_named_is_used_or_missed(tmp_path: Path):
    config = SegmentConfig(enabled="auto", network=str(tmp_path / "mine.onnx"))
    with pytest.raises(TrueflowError, match=r"config \[segment\]: the network .*mine\.onnx cannot be read"):
        make_segment(get_device("cpu"), shape=SHAPE, config=config)


@pytest.mark.parametrize("enabled", ["auto", "on"])
def test_it_runs_where_it_can(network, enabled):
    stage = make_segment(get_device("cpu"), shape=SHAPE, config=SegmentConfig(enabled=enabled, network=network))
    assert stage is not None
    assert stage.description == "tiny (own) by openvino"


def test_tensorrt_on_the_cpu_is_refused_whatever_else_is_there(network):
    config = SegmentConfig(enabled="on", engine="tensorrt", network=network)
    with pytest.raises(TrueflowError, match="'tensorrt' runs on device 'cuda'"):
        make_segment(get_device("cpu"), shape=SHAPE, config=config)


def test_settings_are_read_and_wrong_ones_answered():
    config = Config().override(["segment.enabled=on", "segment.engine=openvino", "segment.precision=fp32"])
    assert config.segment == SegmentConfig("on", "openvino", "fp32")
    assert Config.parse(config.to_tables()) == config
    with pytest.raises(TrueflowError, match="did you mean 'openvino'"):
        Config().override(["segment.engine=openvin"])
    with pytest.raises(TrueflowError, match="did you mean 'int8'"):
        Config().override(["segment.precision=int4"])
