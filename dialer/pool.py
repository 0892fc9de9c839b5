"""The PBXs that the dialer has: the one place that chooses which of them a call goes through."""

from __future__ import annotations

from dialer.pbx import Pbx


class PbxPool(dict[str, Pbx]):
    """PBXs by name."""

    @property
    def reachable(self) -> bool:
        """Whether a call can be placed at all."""
        return any(pbx.connected for pbx in self.values())

    def choose(self) -> Pbx | None:
        """The PBX for the next call, None when none is in reach."""
        return next((pbx for pbx in self.values() if pbx.connected), None)
