"""The ways by which a notice leaves: a mail server and an HTTP address, with little patience."""

from __future__ import annotations

import json
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from zanc_pipeline.common.errors import UnavailableError
from zanc_pipeline.common.notice_settings import Email, Webhook

PATIENCE_SECONDS = 10


def send_mail(way: Email, subject: str, body: str) -> None:
    """Give a plain-text message to the server. Raises UnavailableError when it does not take it."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, way.sender, ", ".join(way.to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="zanc.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    secure = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(way.server, way.port, timeout=PATIENCE_SECONDS, context=secure)
            if way.tls == "direto"
            else smtplib.SMTP(way.server, way.port, timeout=PATIENCE_SECONDS)
        ) as server:
            if way.tls == "starttls":
                server.starttls(context=secure)
            if way.user:
                server.login(way.user, way.password)
            refused = server.send_message(message)
    except (OSError, ValueError) as error:  # ValueError: a name that is no host's
        raise UnavailableError("mail server", f"{way.server}:{way.port}", error) from None
    if refused:
        who = ", ".join(sorted(refused))
        raise UnavailableError("mail server", f"{way.server}:{way.port}", f"it refused {who}")


class _NoRedirect(HTTPRedirectHandler):
    """The address is the one that was configured, or none."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(way: Webhook, content: dict[str, str]) -> None:
    """POST JSON. Raises UnavailableError unless the answer is 2xx."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if way.token:
        headers["Authorization"] = f"Bearer {way.token}"
    body = json.dumps(content, ensure_ascii=False).encode()
    request = Request(way.url, body, headers, method="POST")  # noqa: S310 - http(s), see settings
    opener = build_opener(ProxyHandler({}), _NoRedirect())
    # The rest of the address may be a secret: chats give out such addresses.
    where = f"{request.type}://{request.host}"
    try:
        with opener.open(request, timeout=PATIENCE_SECONDS):
            pass
    except HTTPError as error:
        error.close()
        raise UnavailableError("webhook", where, f"status {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise UnavailableError("webhook", where, getattr(error, "reason", error)) from None
