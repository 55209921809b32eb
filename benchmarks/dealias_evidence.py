"""What each kind of evidence is worth to the engine: without it, it alone, and beside others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.dealias import CaseResult, Contender, dealiaser, run_dealias, stage
from trueflow.benchmarks.segmentation import Stages, as_in_the_chain
from trueflow.benchmarks.validation import Scene, ValidationCase, load_scene
from trueflow.kernels.device import Device
from trueflow.pipeline.config import DealiasConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import VelocityFrame

__all__ = ["EVIDENCE", "NETWORK_EVIDENCE", "run_evidence"]

# Frames of the set have no predecessor: what the previous frame is worth is measured on sequences.
EVIDENCE = {
    "all": DealiasConfig(),
    "without continuity": DealiasConfig(continuity=False),
    "without second phase": DealiasConfig(second_phase=False),
    "without wall": DealiasConfig(wall=False),
    "continuity alone": DealiasConfig(second_phase=False, wall=False),
    "second phase alone": DealiasConfig(continuity=False, wall=False),
    "wall alone": DealiasConfig(continuity=False, second_phase=False),
}

# With the segmentation network, which is off by default.
NETWORK_EVIDENCE = {
    "network alone": DealiasConfig(continuity=False, second_phase=False, wall=False),
    "network and continuity": DealiasConfig(second_phase=False, wall=False),
    "network and all": DealiasConfig(),
}
PRECISION = "auto"  # as in the chain


def run_evidence(
    cases: Sequence[ValidationCase],
    *,
    folder: Path,
    device: Device,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[CaseResult], tuple[Skipped, ...]]:
    """The engine with every choice of evidence on every case; without those of the network where it cannot run."""
    variants = [dealiaser(name, config) for name, config in EVIDENCE.items()]
    skipped: tuple[Skipped, ...] = ()
    stages = Stages(device, (PRECISION,))
    try:
        if cases:
            stages(PRECISION, load_scene(cases[0], folder, device).grid.shape)
        variants += [_with_network(name, config, stages) for name, config in NETWORK_EVIDENCE.items()]
    except TrueflowError as error:
        skipped = (Skipped("evidence of the network", str(error)),)
    return run_dealias(cases, variants, folder=folder, device=device, advance=advance), skipped


def _with_network(name: str, config: DealiasConfig, stages: Stages) -> Contender:
    """The engine beside the network, which itself always sees the second phase."""

    def frame(scene: Scene, device: Device) -> VelocityFrame:
        scene = as_in_the_chain(scene, device)
        dealias = stage(scene, device, config)
        flow = dealias.flow(scene.doppler)
        found = stages(PRECISION, scene.grid.shape)(scene.bmode, scene.doppler, flow)
        return dealias(scene.doppler, found, flow=flow)

    return Contender(name, frame)
