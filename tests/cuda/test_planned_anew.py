"""Frames are recorded once the first echoes have settled a plan, and recorded anew when it is forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trueflow.pipeline import ColorFlow, Config

from .test_chain import maps
from .test_recorded_chain import check_equal, stream


@pytest.mark.parametrize("stagger", [None, (2, 3)])
def test_after_noise_and_after_a_reset_frames_replay_as_they_run(open_cuda, acquisition, packets, stagger):
    acquisition = replace(acquisition, n_ensemble=10, stagger=stagger)
    (plain, _), (recording, world) = open_cuda(record_frames=False), open_cuda()
    flows = [ColorFlow(acquisition, Config(), device=device) for device in (plain, recording)]
    echoes = [packet.samples[:10] for packet in packets]
    noise = np.rint(np.random.default_rng(0).normal(size=echoes[0].shape) * 30).astype(np.int16)
    quiet = [(samples // 20).astype(np.int16) for samples in echoes[::-1]]  # another scene: less tissue and blood alike
    for scene in ([noise, noise, *echoes], [noise, *quiet]):
        graphs = []
        for packet in stream(scene):
            want, got = (maps(flow, flow(packet)) for flow in flows)
            check_equal(got, want, packet.stamp)
            graphs.append(world.graphs)
        n_noise = sum(samples is noise for samples in scene)
        replays = np.diff(graphs)
        assert not replays[:n_noise].any(), "a frame was recorded before there was a plan"
        assert replays[-1] == 1
        for flow in flows:
            flow.reset()
        assert flows[1]._graph is not None
        assert flows[1]._graph.n_recorded == 0
