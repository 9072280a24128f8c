"""A mail server with TLS and a login, run by the Python that has aiosmtpd: each mail is a line of JSON.

    python mail_server.py PORT CERTIFICATE KEY starttls|tls
"""

from __future__ import annotations

import json
import signal
import ssl
import sys
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = b"gpuwarden", b"right password"
REFUSED, BUSY = "refused@", "busy@"


class Handler:
    """Takes mails, but for some recipients."""

    def __init__(self) -> None:
        self._busy = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """A recipient that is never taken, and one that is taken the second time."""
        if address.startswith(REFUSED):
            return "550 5.1.1 no such mailbox"
        self._busy += address.startswith(BUSY)
        if address.startswith(BUSY) and self._busy < 2:
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """One mail, with how it came."""
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data.decode() if session.auth_data else "",
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "text": envelope.content.decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 2.0.0 taken"


def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """One user with one password."""
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD)
    return AuthResult(success=right, handled=False, auth_data=data.login if right else None)


def main() -> None:
    """Serves until it is stopped."""
    port, certificate, key, security = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    tls = {"tls_context": context, "require_starttls": True} if security == "starttls" else {"ssl_context": context}
    implicit = {} if security == "starttls" else {"auth_require_tls": False}
    server = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=int(port),
        server_hostname="localhost",
        auth_required=True,
        authenticator=login,
        **tls,
        **implicit,
    )
    server.start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    server.stop()


if __name__ == "__main__":
    main()
