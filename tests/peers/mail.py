"""A real mail server, and the mails that it took.

    with MailServer(folder, "starttls") as server:
        mail = server.mails.wait_for(lambda mail: mail.subject.startswith("[#2]"), timeout_s=5)
"""

from __future__ import annotations

import email
import email.policy
import json
import subprocess
import threading
import time
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from install import Cache
from process import Process, free_ports, listening
from record import Record

START_TIMEOUT_S = 20.0
PASSWORD = "right password"
EXTENSIONS = """
[req]
distinguished_name = name
[name]
[server]
subjectAltName = DNS:localhost
basicConstraints = critical,CA:FALSE
"""


@dataclass(frozen=True)
class Mail:
    """One mail as the server took it."""

    at: float
    sender: str
    recipients: tuple[str, ...]
    user: str
    tls: bool
    message: EmailMessage

    @property
    def subject(self) -> str:
        """Its subject, decoded."""
        return str(self.message["Subject"])

    def text(self, kind: str) -> str:
        """One of its bodies, decoded: `plain` or `html`."""
        body = self.message.get_body((kind,))
        return body.get_content() if body else ""


@dataclass(frozen=True)
class Certificate:
    """A certificate for `localhost` that nobody but itself has signed."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        """Makes one."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "server.crt", folder / "server.key")
        (folder / "openssl.cnf").write_text(EXTENSIONS)
        words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -extensions server -config {folder / 'openssl.cnf'}"
        command = ["openssl", *words.split(), "-keyout", made.key, "-out", made.certificate]
        subprocess.run(command, check=True, capture_output=True)
        return made


class MailServer:
    """aiosmtpd in a process of its own, with TLS and a login."""

    def __init__(self, folder: Path, security: str) -> None:
        self.mails: Record[Mail] = Record()
        self.folder = folder
        (self.port,) = free_ports(1)
        self._security = security
        self.certificate = Certificate.make(folder)

    def __enter__(self) -> MailServer:
        cache = Cache.default()
        cache.need_smtp()
        script = Path(__file__).with_name("mail_server.py")
        made = self.certificate
        command = [cache.python, script, str(self.port), made.certificate, made.key, self._security]
        self._process = Process("mail server", command, self.folder / "mail.log", piped=True)
        self._process.wait_until(lambda: listening(self.port), START_TIMEOUT_S)
        threading.Thread(target=self._read, name="mails", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def _read(self) -> None:
        for line in self._process.lines():
            mail = json.loads(line)
            message = email.message_from_string(mail["text"], policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.mails.add(Mail(time.time(), mail["from"], tuple(mail["to"]), mail["user"], mail["tls"], message))
