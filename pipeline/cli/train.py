"""`trueflow train`: training frames and a segmentation network from nothing."""

from __future__ import annotations

import datetime
import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import progress_bar, show_table
from trueflow.pipeline.errors import TrueflowError

if TYPE_CHECKING:
    from trueflow.models.metrics import FoldCounts
    from trueflow.models.train import EpochReport

__all__ = ["train"]

FOLDER = click.Path(path_type=Path, file_okay=False)
NEEDED = ("tensorflow", "onnx", "onnxruntime")
STEPS, BATCH = 100, 8
N_CALIBRATION = 48


@dataclass(frozen=True, slots=True)
class _Size:
    """Scenes of training, validation and test, and epochs."""

    scenes: int
    validation: int
    test: int
    epochs: int


SIZES = {"tiny": _Size(10, 10, 3, 1), "small": _Size(244, 60, 36, 34), "full": _Size(1500, 100, 60, 120)}
SETS = {"train": 1, "validation": 2, "test": 3}  # each has seeds of its own


@click.command()
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder of checkpoints, log and weights.")
@click.option("--data", type=FOLDER, help="Folder of training frames; made if not there. Default: OUTPUT/data.")
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default="small",
    show_default=True,
    help="small: what is shipped, within 90 minutes on two cores; full: six times the scenes; tiny: a trial run.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Of 100 batches of 8 frames.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of scenes and training.")
@click.option("--resume", is_flag=True, help="Go on where the training in OUTPUT stopped.")
def train(output: Path, data: Path | None, size: str, epochs: int | None, seed: int, resume: bool) -> None:
    """Simulate training frames, train the segmentation network on them, and export it.

    OUTPUT/weights then holds the ONNX files, their hashes and the model card; log.csv has a line per epoch.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _check_installed()
    if (output / "state.json").exists() and not resume:
        raise TrueflowError("holds a training already", where=str(output), advice="--resume, or another folder")
    plan = SIZES[size]
    data = data or output / "data"
    _make_data(data, plan, seed)
    _train(output, data, epochs or plan.epochs, seed, resume=resume)
    metrics = _export(output, data, epochs or plan.epochs, seed)
    for name, families in metrics.items():
        rows = [(family, _share(c.aliased_iou), _share(c.right)) for family, c in families.items()]
        show_table([(name, "aliased IoU", "right folds"), *rows])
    click.echo(f"weights: {output / 'weights'}")


def _share(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.3f}"


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TrueflowError(
            "training needs packages that are not installed",
            found=f"no {', '.join(missing)}",
            advice="pip install 'trueflow[train]'",
        )


def _make_data(data: Path, plan: _Size, seed: int) -> None:
    from trueflow.pipeline.chain import open_device
    from trueflow.pipeline.training.frames import make_frames
    from trueflow.pipeline.training.scenes import HELD_OUT, TRAINED

    device = open_device("cpu")
    counts = {"train": plan.scenes, "validation": plan.validation, "test": plan.test}
    for name, number in SETS.items():
        families = HELD_OUT if name == "test" else TRAINED
        own_seed = 1000 * (seed - 1) + number if seed else 10**9 + number
        with progress_bar(f"{name} scenes") as advance:
            make_frames(
                data / name, n_scenes=counts[name], seed=own_seed, device=device, families=families, advance=advance
            )


def _train(output: Path, data: Path, epochs: int, seed: int, *, resume: bool) -> None:
    from trueflow.models.train import TrainSettings, train

    settings = TrainSettings(epochs=epochs, steps=STEPS, batch=BATCH, seed=seed)
    with progress_bar("batches") as advance:
        train(
            data / "train", data / "validation", output, settings, resume=resume, report=_report, advance=advance
        )  # fmt: skip


def _report(done: EpochReport) -> None:
    checked = "" if math.isnan(done.right) else f", validation: IoU {done.aliased_iou:.3f}, right {done.right:.3f}"
    click.echo(f"epoch {done.epoch}: loss {done.loss:.3f}, {done.seconds:.0f} s{checked}", err=True)


def _export(output: Path, data: Path, epochs: int, seed: int) -> dict[str, dict[str, FoldCounts]]:
    from trueflow.models.card import Provenance, write_card, write_manifest
    from trueflow.models.data import Frames
    from trueflow.models.export import export
    from trueflow.models.train import BEST, evaluate, onnx_predictor

    folder = output / "weights"
    frames = Frames(data / "train")
    export(output / BEST, folder, frames.spread(N_CALIBRATION))
    tests = {
        "Trained families, other seeds": Frames(data / "validation"),
        "Families held out of training": Frames(data / "test"),
    }
    metrics = {
        f"{name} ({form})": evaluate(onnx_predictor(folder / file), test)
        for name, test in tests.items()
        for form, file in (("float32", "unet.onnx"), ("int8", "unet_int8.onnx"))
    }
    provenance = Provenance(
        version="2",
        date=datetime.date.today().isoformat(),
        command=_command(),
        n_frames=len(frames),
        epochs=epochs,
        steps=STEPS,
        batch=BATCH,
        seed=seed,
    )
    write_manifest(folder, provenance, metrics)
    write_card(folder, provenance, metrics)
    return metrics


def _command() -> str:
    arguments: list[Any] = sys.argv[1:] if sys.argv[1:2] == ["train"] else ["train"]
    return shlex.join(["trueflow", *map(str, arguments)])
