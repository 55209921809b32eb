"""The model behind docs/gpu.md: machine code is read right, times follow from it, and the page knows every kernel."""

from __future__ import annotations

import pytest

from trueflow.kernels.source import KERNEL_FOLDER, load_source

from .model import GPUS, Case, Gpu, Launch, Prediction, femoral, predict, straight
from .page import PAGE, table
from .sass import Code, Loop, parse

NOT_OF_THE_CHAIN = ("picture", "probe", "remap", "scatter", "splat")

LISTING = """\
\t.headerflags\t@"EF_CUDA_SM75"
.text.sums:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/              @P0  EXIT ;
.L_x_0:
        /*0020*/                   LDG.E.SYS R2, [R4] ;
        /*0030*/                   FFMA R3, R2, R2, R3 ;
        /*0040*/              @P1  BRA `(.L_x_0) ;
        /*0050*/                   RED.E.ADD.STRONG.GPU [R6], R3 ;
        /*0060*/                   STG.E.SYS [R4], R3 ;
        /*0070*/                   EXIT ;
.L_x_1:
        /*0080*/                   BRA `(.L_x_1);
        /*0090*/                   NOP;
.text.other:
        /*0000*/                   EXIT ;
"""
GPU = Gpu("toy", 75, 10, 1e9, 64, 1e11, 64, 1e-6)


def test_instructions_and_loops_are_read():
    code = parse(LISTING)
    assert set(code) == {"sums", "other"}
    # Jumps are not counted: the last one, to itself, is never reached.
    assert code["sums"] == Code(instructions=7, loads=1, stores=1, atomics=1, loops=(Loop(3, 1),))
    assert code["sums"].loop(loads=1).instructions == 3


def test_a_loopless_kernel_executes_its_code_once_a_pixel():
    code = Code(instructions=30, loads=2, stores=1, atomics=1, loops=())
    work = straight(code, Launch("maps", "blend", 1, threads=256, bytes=0), {"pixels": 200.0})
    assert (work.instructions, work.cache_bytes, work.atomics) == (6000, 2400, 200)


@pytest.mark.parametrize(
    ("code", "n_bytes", "limit", "time_s"),
    [
        (Code(12800, 0, 0, 0, ()), 0, "instructions", 1e7 * 12800 / 1.28e12),
        (Code(1, 100, 60, 0, ()), 0, "first-level cache", 1e7 * 640 / (10 * 64 * 1e9)),
        (Code(1, 0, 0, 0, ()), 10**9, "main memory", 1e-2),
        (Code(1, 0, 0, 0, ()), 10, "start", 0),
    ],
)
def test_the_longest_of_the_limits_binds(monkeypatch, code, n_bytes, limit, time_s):
    monkeypatch.setattr("tests.kernels.nvrtc.model.kernel_code", lambda *_: {"k": code}, raising=True)
    pixels = 1e2 if limit == "start" else 1e7
    launch = Launch("f", "k", 1, threads=10**8, bytes=n_bytes)
    (found,) = predict(Case("toy", {"pixels": pixels}, {75: [launch]}), GPU)
    assert found.limit == limit
    assert found.time_s == pytest.approx(time_s + GPU.start_s, rel=1e-3)


def test_a_kernel_of_one_thread_waits_for_each_step(monkeypatch):
    code = {"power_reference": Code(20, 1, 0, 0, ())}
    monkeypatch.setattr("tests.kernels.nvrtc.model.kernel_code", lambda *_: code)
    launch = Launch("flow_mask", "power_reference", 1, threads=1, bytes=0)
    (found,) = predict(Case("toy", {"pixels": 1e4}, {75: [launch]}), GPU)
    assert found.limit == "latency"
    assert found.time_s == pytest.approx(1000 * (9 * 5 + 50) / GPU.clock_hz + GPU.start_s)


def test_launches_of_a_kernel_are_summed_and_every_gpu_has_its_column():
    work = straight(Code(3, 0, 0, 0, ()), Launch("f", "k", 1, 9, 0), {"pixels": 9})
    one = Prediction("f.k", 2, work, 1e6, 5e-6, "start")
    text = table({gpu: {"f.k": one} for gpu in GPUS})
    assert text.count("5 s") == len(GPUS)
    assert "| f.k | 2 | 1.0 |" in text


def test_the_page_has_every_kernel_of_the_chain():
    """Those of the scanner's own rows, of the simulator and of pictures for files are not of the chain."""
    case = femoral((87,))
    assert case.numbers["elements"] > 10
    assert len({launch.kernel for launch in case.launches[87]}) > 30
    sources = [load_source(path.stem) for path in KERNEL_FOLDER.glob("*.cu") if path.stem not in NOT_OF_THE_CHAIN]
    names = {f"{source.path.stem}.{kernel}" for source in sources for kernel in source.kernels}
    text = PAGE.read_text()
    missing = sorted(name for name in names if f"| {name} |" not in text)
    assert not missing, f"make gpu-model: docs/gpu.md lacks {missing}"
    assert "None of it has been measured" in text
