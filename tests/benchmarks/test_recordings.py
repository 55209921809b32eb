"""Where real recordings are looked for."""

from __future__ import annotations

from trueflow.benchmarks import recordings


def test_a_named_folder_comes_before_that_of_the_checkout(monkeypatch, tmp_path):
    (tmp_path / "checkout" / "recordings").mkdir(parents=True)
    monkeypatch.setattr(recordings, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.delenv("TRUEFLOW_RECORDINGS", raising=False)
    assert recordings.recordings_folder() == tmp_path / "checkout" / "recordings"
    (tmp_path / "checkout" / "recordings").rmdir()
    assert recordings.recordings_folder() == tmp_path / "shared" / "data"
    monkeypatch.setenv("TRUEFLOW_RECORDINGS", str(tmp_path / "mine"))
    assert recordings.recordings_folder() == tmp_path / "mine"
