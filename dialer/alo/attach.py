"""Ears for a PBX: they hear what its calls hear, and tell its dialplan who answered."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from dialer import attempt as events
from dialer.alo.decision import Model, Trees, Verdict
from dialer.alo.ears import Ears
from dialer.pbx import AsteriskPbx
from zanc_pipeline.common.errors import UnavailableError

log = logging.getLogger(__name__)

MODEL_FILE = "zanc_alo.json"
"""Under ``var/models``: the champion as ``zanc models export`` wrote it."""

Notice = Callable[[str, events.Event], None]


def model_of(var: Path) -> Trees:
    """The exported champion; ConfigError when there is none."""
    return Trees(var / "models" / MODEL_FILE)


def attach(pbx: AsteriskPbx, model: Model, address: str) -> Ears:
    """Hear every call of ``pbx`` from its answer on. Close the ears before the PBX.

    ``address`` is ours as the PBX reaches it. The events of the PBX go on to whoever had them.
    """

    def told(attempt_id: str, verdict: Verdict) -> None:
        with contextlib.suppress(UnavailableError):  # its dialplan takes it for a person then
            pbx.answered_by(attempt_id, verdict)

    ears = Ears(model, address, told)
    before = pbx.on_event

    def notice(attempt_id: str, event: events.Event) -> None:
        match event:
            case events.Answered():
                _listen(ears, pbx, attempt_id)
            case events.Detected() if ears.stop(attempt_id):
                # The dialplan waited no longer: a verdict that came now would tear the person
                # away from the operator.
                with contextlib.suppress(UnavailableError):
                    pbx.hear_no_more(attempt_id)
            case events.HungUp():
                ears.forget(attempt_id)
        before(attempt_id, event)

    pbx.on_event, pbx.heard = notice, True
    return ears


def _listen(ears: Ears, pbx: AsteriskPbx, attempt_id: str) -> None:
    try:
        ears.listen(attempt_id, lambda address, port: pbx.hear(attempt_id, address, port))
    except (OSError, UnavailableError) as error:
        log.warning("PBX %s: a call can't be heard: %s", pbx.name, error)
