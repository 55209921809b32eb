"""The dealiasing engine against scikit-image, Py-ART's region method and kamui, on fields with known folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.benchmarks.dealias_peers import PEERS, Unwrap, folded, oracle_anchored
from trueflow.benchmarks.dealias_tally import tally
from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.pipeline.config import DealiasConfig
from trueflow.pipeline.dealias import DEALIASERS, PhaseMap
from trueflow.pipeline.frames import DopplerFrame, SecondPhase, Stamp, VelocityFrame
from trueflow.pipeline.sources.base import Truth

SHAPE = 97, 131
N_PULSES = 8
RATIO = 0.3  # of the second phase to the first
MODULES = {"scikit-image": "skimage", "region-dealias": "region_dealias", "kamui": "kamui"}


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Unwrap:
    name = request.param
    pytest.importorskip(MODULES[name], reason=f"{name} is not installed: pip install 'trueflow[bench]'")
    return PEERS[name]()


def bump() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fast in the middle, slow at the rim: up to 2.3 turns, 0.09 between neighbours."""
    z, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 2.3 * np.exp(-((z - 44) ** 2 + (x - 60) ** 2) / (2 * 15**2)), np.hypot(z - 44, x - 60) < 40


def inside_a_vessel() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """0.9 to 1.9 turns and no wall in sight: nothing in the wrapped phase tells the absolute fold."""
    z, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 1.9 - ((z - 48) / 48) ** 2 - 0.1 * np.cos(x / 20), np.ones(SHAPE, np.bool_)


def measured(
    turns: NDArray[np.float64], inside: NDArray[np.bool_], snr_db: float
) -> tuple[VelocityFrame, DopplerFrame]:
    """What a lag-one autocorrelation sees of blood with speckle and noise; v_N is 1 m/s."""
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> NDArray[np.complex128]:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)

    def smooth(values: NDArray[np.complex128], size: int = 3) -> NDArray[np.complex128]:
        return ndimage.uniform_filter(values.real, size) + 1j * ndimage.uniform_filter(values.imag, size)

    speckle = smooth(normal(*SHAPE))
    speckle /= np.sqrt(np.mean(np.abs(speckle) ** 2))
    pulses = np.arange(N_PULSES)[:, None, None]
    iq = inside * speckle * np.exp(2j * np.pi * turns * pulses) + 10 ** (-snr_db / 20) * normal(N_PULSES, *SHAPE)
    r1 = smooth((iq[1:] * iq[:-1].conj()).sum(axis=0))
    r0 = smooth((np.abs(iq) ** 2).sum(axis=0) * (N_PULSES - 1) / N_PULSES + 0j).real
    second = 0.5 * np.exp(2j * np.pi * RATIO * turns) + 0.5 * normal(*SHAPE)
    second /= np.maximum(1, np.abs(second))
    wrapped = (np.angle(r1) / np.pi).astype(np.float32)
    mask = inside & (np.abs(r1) > 0.3 * r0)
    zero = np.zeros(SHAPE, np.int8)
    frame = VelocityFrame(wrapped, wrapped, zero, zero.astype(np.float32), mask, 1.0, Stamp(0))
    found = SecondPhase(second.astype(np.complex64), ratio_table(RATIO))
    return frame, DopplerFrame(r1.astype(np.complex64), r0.astype(np.float32), 1.0, Stamp(0), found)


def engine_fold(frame: VelocityFrame, doppler: DopplerFrame, *, second: bool) -> NDArray[np.int8]:
    engine = DEALIASERS["regions"](get_device("cpu", n_threads=2), SHAPE, DealiasConfig(second_phase=second))
    coherence = np.minimum(np.abs(doppler.r1) / doppler.r0, 1).astype(np.float32)
    fold, _ = engine(PhaseMap(frame.wrapped_velocity_m_s / 2, coherence, frame.mask, second=doppler.second), None)
    return np.asarray(fold)


def test_on_an_easy_field_relative_folds_are_the_same(peer):
    frame, doppler = measured(*bump(), snr_db=20)
    ours, theirs = engine_fold(frame, doppler, second=False), folded(peer, frame, doppler)
    assert len(np.unique(ours[frame.mask])) >= 3
    assert len(np.unique((ours - theirs)[frame.mask])) == 1


def test_without_a_wall_in_sight_the_engine_has_no_more_wrong_folds_than_a_peer_with_an_oracle(peer):
    turns, inside = inside_a_vessel()
    frame, doppler = measured(turns, inside, snr_db=5)
    truth = Truth((2 * turns).astype(np.float32), inside)
    theirs = tally(oracle_anchored(folded(peer, frame, doppler), frame, truth), truth)
    fold = engine_fold(frame, doppler, second=True)
    ours = tally(replace(frame, fold=fold), truth)
    assert ours.n_flow == theirs.n_flow > 10_000
    assert ours.n_wrong <= theirs.n_wrong
    assert ours.wrong_fold_rate < 1e-3
