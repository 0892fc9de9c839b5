"""The call centre's PBX in a container: the Asterisk and the configuration of the local stack.

``install`` unpacks it while the image is built; ``run`` renders the configuration for this place
and becomes Asterisk. ZANC_SIP_HOST is the address of this machine that the operators' phones and
the carrier reach; the manager interface stays on loopback.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.stack import asterisk, parts
from zanc_pipeline.world import speech


def main(command: str) -> None:
    """Do ``install`` or ``run``."""
    settings = load_settings()
    espeak = parts.cache_folder(settings) / "espeak"
    version = parts.instances(settings)["central"].version
    if command == "install":
        asterisk.install(version, parts.asterisk_root(settings, version), print)
        speech.install(espeak, print)
        return
    speech.ensure_speech(parts.speech_folder(settings), espeak, print)
    central = parts.instances(settings)["central"]
    host = os.environ["ZANC_SIP_HOST"]
    central = replace(central, extra={**central.extra, "sip_host": host})
    asterisk.render(central)
    line = asterisk.command(central)
    os.execv(line[0], line)  # noqa: S606 - a list of ours, no shell


if __name__ == "__main__":
    main(sys.argv[1])
