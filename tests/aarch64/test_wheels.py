"""The reading of what pip says it would install on an aarch64 host."""

from __future__ import annotations

import pytest

from . import wheels as script
from .wheels import EXTRAS, PROJECT, Wheel, complaint, requirements, tomllib, wheels

REPORT = {
    "install": [
        {
            "metadata": {"name": "numpy", "version": "2.4.6"},
            "download_info": {"url": "file:///somewhere/numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.whl"},
        },
        {
            "metadata": {"name": "Click", "version": "8.2.0"},
            "download_info": {"url": "file:///somewhere/click-8.2.0-py3-none-any.whl"},
        },
    ]
}
ERRORS = """\
WARNING: something about a cache
ERROR: Could not find a version that satisfies the requirement nothere>=3 (from versions: none)
ERROR: No matching distribution found for nothere>=3
"""


def test_wheels_are_read_from_pips_report():
    click, numpy = wheels(REPORT)
    assert (click.name, click.fits) == ("Click", True)
    assert numpy == Wheel("numpy", "2.4.6", "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.whl")
    assert numpy.fits


@pytest.mark.parametrize("file", ["a-1.tar.gz", "a-1-cp311-cp311-manylinux_2_17_x86_64.whl", "a-1-py3-none-win32.whl"])
def test_what_does_not_fit_is_seen(file):
    assert not Wheel("a", "1", file).fits


def test_pips_complaint_is_found():
    assert complaint(ERRORS) == "No matching distribution found for nothere>=3"
    assert "without a word" in complaint("")


def test_every_extra_that_is_asked_about_is_there():
    project = tomllib.loads(PROJECT.read_text())
    assert any(r.startswith("numpy") for r in requirements(project, None))
    for extra in EXTRAS:
        assert requirements(project, extra)


def test_a_package_without_a_wheel_fails_the_run(monkeypatch, capsys):
    answers = {"numpy": wheels(REPORT), "cupy-cuda12x>=14": "No matching distribution found for cupy-cuda12x"}
    monkeypatch.setattr(script, "requirements", lambda project, extra: ["cupy-cuda12x>=14"] if extra else ["numpy"])
    monkeypatch.setattr(script, "ask", lambda wanted: answers[wanted[0]])
    assert script.main(["cuda"]) == 1
    out = capsys.readouterr().out
    assert "base install: 2 wheels" in out
    assert "extra cuda: NOT for aarch64: No matching distribution" in out
    assert script.main([]) == 1
    monkeypatch.setattr(script, "ask", lambda wanted: wheels(REPORT))
    assert script.main(["cuda"]) == 0
