"""The FTP server of the local stack: a folder for each convênio under ``var/ftp``."""

from __future__ import annotations

import logging
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from zanc_pipeline.common.settings import Settings

_MAY_READ_AND_WRITE = "elradfmwMT"


def folder(settings: Settings) -> Path:
    """The server's root."""
    return settings.var / "ftp"


def serve(settings: Settings) -> None:
    """Serve until the process is told to stop."""
    logging.getLogger("pyftpdlib").setLevel(logging.WARNING)
    root = folder(settings)
    for convenio in settings.convenios:
        (root / convenio).mkdir(parents=True, exist_ok=True)
    authorizer = DummyAuthorizer()
    ftp = settings.ftp
    authorizer.add_user(ftp.username, ftp.password, str(root), perm=_MAY_READ_AND_WRITE)
    last = ftp.first_passive_port + ftp.passive_ports
    handler = type(
        "Handler",
        (FTPHandler,),
        {
            "authorizer": authorizer,
            "banner": "Zanc",
            "passive_ports": range(ftp.first_passive_port, last),
        },
    )
    server = FTPServer((ftp.host, ftp.port), handler)
    server.max_cons = 64
    server.serve_forever()


if __name__ == "__main__":
    from zanc_pipeline.common.settings import settings as read_settings

    serve(read_settings())
