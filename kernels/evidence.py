"""What each kind of evidence is worth to the dealiasing engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["EvidenceWeights"]


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """What each kind of evidence is worth, per pixel, in units of a border vote.

    While merging, what a region knows of itself counts up to `merge_area` pixels of it: beyond, borders decide. The
    anchor's weights decide a group's absolute fold; folds beyond +-2 are penalised in both.
    """

    range_penalty: float = 0.025
    merge_wall: float = 0.002
    merge_before: float = 0.002
    merge_second: float = 0.15
    merge_area: float = 20.0
    anchor_wall: float = 0.05
    anchor_before: float = 0.05
    anchor_second: float = 0.25
    merge_class: float = 0.05
    anchor_class: float = 0.05  # a classifier that errs errs for whole regions:
    anchor_class_beside_second: float = 0.003  # beside a second phase it is heard less

    def values(self, *, beside_second: bool) -> dict[str, float]:
        """As the kernel wants them, with or without a second phase."""
        values = asdict(self)
        beside = values.pop("anchor_class_beside_second")
        return values | ({"anchor_class": beside} if beside_second else {})
