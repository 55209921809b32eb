"""`trueflow simulate`: files that other readers understand, with truth that comes back."""

from __future__ import annotations

import json
import signal

import h5py
import numpy as np
import pytest

from trueflow.pipeline import ImageGrid, TrueflowError, cli, open_source
from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.sim.export import write_zea
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sim.scene import Scene

URL = "sim://straight?frames=2&pulses=3&peak=2.5vN&fps=20"


@pytest.fixture
def command(capsys):
    def command(*arguments):
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as exit_info:
                cli.main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, handler)
        return exit_info.value.code, *capsys.readouterr()

    return command


@pytest.mark.parametrize("options", ["", "&angle=-5,5", "&probe=convex&angle=0", "&probe=phased&angle=5"])
def test_a_file_gives_back_samples_geometry_time_and_truth(options, tmp_path):
    simulated = SimRecording.from_url(URL + options)
    grid = make_grid(simulated.acquisition, GridConfig())
    write_zea(tmp_path / "scan.h5", simulated, grid)
    with open_source(tmp_path / "scan.h5") as recording:
        assert recording.format_name == "zea"
        ours, theirs = simulated.acquisition, recording.acquisition
        assert (recording.n_slow_time, recording.burst_length) == (6, 3)
        assert recording.burst_interval_s == pytest.approx(0.05, rel=1e-5)
        np.testing.assert_array_equal(recording.read(0, 6), simulated.read(0, 6))
        assert theirs.n_transmits == ours.n_transmits
        for mine, other in zip(ours.transmits, theirs.transmits, strict=True):
            assert type(mine) is type(other)
            # Either clock may be chosen: what counts is when a wave reaches the origin, seen from the first sample.
            assert other.origin_time_s - theirs.rx_start_s == pytest.approx(
                mine.origin_time_s - ours.rx_start_s, abs=1e-9
            )
        assert theirs.nyquist_velocity_m_s() == pytest.approx(ours.nyquist_velocity_m_s(), rel=1e-5)
        back = recording.truth(3, 6, make_grid(theirs, GridConfig()))
    truth = simulated.truth(3, 6, grid)
    np.testing.assert_array_equal(back.velocity_m_s, truth.velocity_m_s)
    np.testing.assert_array_equal(back.mask, truth.mask)


@pytest.mark.parametrize("angle", ["10", "-5,5"])
def test_staggered_pulses_come_back_as_such(tmp_path, angle):
    simulated = SimRecording.from_url(f"sim://disk?frames=2&pulses=4&fps=20&stagger=5:7&angle={angle}")
    write_zea(tmp_path / "scan.h5", simulated, make_grid(simulated.acquisition, GridConfig()))
    with open_source(tmp_path / "scan.h5") as recording:
        a = recording.acquisition
        assert (a.stagger, recording.n_slow_time, recording.burst_length) == ((5, 7), 8, 4)
        np.testing.assert_allclose(a.pulse_times_s, simulated.acquisition.pulse_times_s, rtol=1e-5)
        assert a.nyquist_velocity_m_s() == pytest.approx(simulated.acquisition.nyquist_velocity_m_s(), rel=1e-5)
        assert [recording.slow_time_s(i) for i in range(8)] == pytest.approx(
            [simulated.slow_time_s(i) for i in range(8)], rel=1e-5
        )


def test_a_result_remembers_the_stagger(command, tmp_path):
    url, out = "sim://disk?frames=1&pulses=8&stagger=3:4&mode=fast", tmp_path / "r.h5"
    assert command("replay", url, "-o", out, "--json")[0] == 0
    with h5py.File(out) as file:
        assert file["acquisition"].attrs["stagger"].tolist() == [3, 4]
    assert command("replay", url.replace("&stagger=3:4", ""), "-o", out, "--json")[0] == 0
    with h5py.File(out) as file:
        assert "stagger" not in file["acquisition"].attrs


def test_truth_on_another_grid_is_that_of_the_nearest_pixel(tmp_path):
    simulated = SimRecording.from_url(URL)
    grid = ImageGrid.cartesian(np.linspace(-10e-3, 10e-3, 201), np.linspace(10e-3, 30e-3, 201))
    write_zea(tmp_path / "scan.h5", simulated, grid)
    other = ImageGrid.cartesian(np.array([-20e-3, 0.03e-3, 5e-3]), np.array([5e-3, 20.04e-3]))
    with open_source(tmp_path / "scan.h5") as recording:
        back = recording.truth(0, 3, other)
    near = simulated.truth(0, 3, grid)
    assert back.velocity_m_s[1, 1] == near.velocity_m_s[100, 100]
    assert not back.mask[0].any()
    assert not back.mask[:, 0].any()


def test_what_is_stored_beside_the_samples(tmp_path):
    simulated = SimRecording.from_url(URL)
    grid = make_grid(simulated.acquisition, GridConfig())
    write_zea(tmp_path / "scan.h5", simulated, grid)
    with h5py.File(tmp_path / "scan.h5") as file:
        raw = file["tracks/track_0/data/raw_data"]
        assert raw.shape == (2, 3, 1040, 128, 1)
        assert raw.dtype == np.int16
        truth = file["truth"]
        assert truth["fold"].shape == truth["mask"].shape == (2, *grid.shape)
        v, mask, fold = (truth[name][()] for name in ("velocity_m_s", "mask", "fold"))
        v_n = truth.attrs["nyquist_velocity_m_s"]
        assert np.abs(v[mask] - 2 * fold[mask] * v_n).max() <= v_n * 1.0001
        assert fold.max() == 1
        assert Scene.from_toml(file.attrs["scene"]) == simulated.scene
        leaves = []
        file.visititems(lambda name, node: leaves.append((name, node)) if isinstance(node, h5py.Dataset) else None)
        assert not [name for name, node in leaves if not {"unit", "description"} <= set(node.attrs)]


def test_truth_that_does_not_fit_is_refused(tmp_path):
    simulated = SimRecording.from_url(URL)
    write_zea(tmp_path / "scan.h5", simulated, make_grid(simulated.acquisition, GridConfig()))
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        del file["truth/mask"]
        file["truth/mask"] = np.ones((2, 3, 4), bool)
    with pytest.raises(TrueflowError, match=r"scan\.h5 truth/mask: does not fit the samples"):
        open_source(tmp_path / "scan.h5")


def test_the_command_writes_a_file_and_says_so(command, tmp_path):
    out = tmp_path / "scan.h5"
    code, text, _ = command("simulate", "disk?pulses=2", "-o", out, "--frames", "1", "--peak", "2vN", "--json")
    assert code == 0
    summary = json.loads(text)
    assert summary["n_frames"] == 1
    assert summary["n_ensemble"] == 2
    assert summary["source"] == "sim://disk?pulses=2&frames=1&peak=2vN"
    with open_source(out) as recording:
        assert recording.n_slow_time == 2
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]


def test_the_command_lists_scenes_and_shows_one_to_begin_from(command):
    assert "femoral" in command("simulate", "--list")[1].split()
    code, text, _ = command("simulate", "stenosis", "--show", "--peak", "3vN")
    assert code == 0
    assert Scene.from_toml(text).peak == "3vN"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "disk"], "give a scene and an output"),
        (["simulate", "femral", "-o", "x.h5"], "did you mean 'femoral'"),
        (["simulate", "disk", "-o", "x.h5", "--set", "sead=4"], "did you mean 'seed'"),
        (["simulate", "disk", "-o", "no/folder/x.h5"], "make the folder"),
    ],
)
def test_mistakes_leave_one_line_and_no_file(arguments, message, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = command(*arguments)
    assert code == 2
    assert message in error
    assert not list(tmp_path.iterdir())


def test_a_simulation_is_replayed_like_a_file(command, tmp_path):
    out = tmp_path / "r.h5"
    code, _, error = command("replay", "sim://straight?frames=2&peak=0.8vN", "-o", out, "--json")
    assert code == 0, error
    with h5py.File(out) as file:
        assert file.attrs["source"] == "sim://straight?frames=2&peak=0.8vN"
        assert len(file.attrs["source_sha256"]) == 64
        np.testing.assert_allclose(file["flow/time_s"][()], [0.0, 0.04])
        mask = file["truth/mask"][()]
        difference = (file["flow/velocity_m_s"][()] - file["truth/velocity_m_s"][()])[mask]
        assert np.median(np.abs(difference)) < 0.06 * file["flow/nyquist_velocity_m_s"][0]


def test_info_describes_a_simulation(command):
    code, text, _ = command("info", "sim://disk?frames=3&pulses=2&fps=10", "--json")
    facts = json.loads(text)
    assert code == 0
    assert facts["path"].startswith("sim:")
    assert facts["size_bytes"] is None
    assert (facts["n_bursts"], facts["burst_length"]) == (3, 2)
    assert facts["duration_s"] == pytest.approx(0.2 + 2 / 4e3)


def test_info_tells_the_stagger(command):
    url = "sim://disk?frames=1&pulses=4&stagger=3:4&mode=fast"
    assert json.loads(command("info", url, "--json")[1])["stagger"] == [3, 4]
    assert "4 kHz, intervals staggered 3:4" in command("info", url)[1]


def test_the_fast_mode_has_no_channel_data_to_write(tmp_path):
    recording = open_source("sim://straight?mode=fast&frames=1")
    path = tmp_path / "f.hdf5"
    with pytest.raises(TrueflowError, match="mode=fast"):
        write_zea(path, recording, recording.grid)
    assert not path.exists()
