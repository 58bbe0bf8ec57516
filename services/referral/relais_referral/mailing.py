"""E-mail as it leaves: one message of the standard library, its envelope, and what a bounce says."""

import hmac
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from hashlib import sha256
from typing import Final

from relais_referral.domain.letters import FRENCH, words_of
from relais_referral.settings import ReferralSettings

WITHIN_S: Final = 20.0
"""How long a server may take for each answer."""

PERMANENT: Final = 5
"""The class of SMTP and DSN codes that nothing will change."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one mailbox: lines of what happened, each with its link."""

    id: str
    to: str = field(repr=False)
    lines: Sequence[tuple[str, str]]
    stop_url: str
    language: str | None = None


class Untaken(Exception):  # noqa: N818 - an answer to the sender
    """No server took it."""

    def __init__(self, *, permanent: bool) -> None:
        super().__init__("permanent" if permanent else "for now")
        self.permanent = permanent


class Postman:
    """Builds messages and gives them to the server of the settings.

    Args:
        settings: Where the server is, who we are, the secret that our envelopes are signed with.
    """

    def __init__(self, settings: ReferralSettings) -> None:
        self._settings = settings
        self._secret = settings.secret_bytes()

    @property
    def works(self) -> bool:
        """Whether a server is set; without one no e-mail is made at all."""
        return self._settings.smtp_host is not None

    def bounce_address(self, id_: str) -> str:
        """Answer the envelope's sender for a message (VERP): what comes back names the message, and is signed."""
        local, _, domain = self._settings.smtp_bounces_to.partition("@")
        return f"{local}+{id_}-{self._sign(id_)}@{domain}"

    def bounced(self, address: str) -> str | None:
        """Answer which message an address of ours, as `bounce_address` made it, names; nothing where we did not."""
        token = address.partition("@")[0].rpartition("+")[2]
        id_, _, sign = token.rpartition("-")
        return id_ if hmac.compare_digest(sign, self._sign(id_)) else None

    def _sign(self, id_: str) -> str:
        # Anybody may write to us: without it they could stop the e-mail of others.
        return hmac.digest(self._secret, b"bounce\n" + id_.encode(errors="replace"), sha256).hex()[:16]

    def message(self, letter: Letter) -> EmailMessage:
        """Answer a letter as a message; the library itself refuses a header with a line break.

        Raises:
            ValueError: The address is none.
        """
        made = EmailMessage(policy=policy.SMTP)
        name, _, domain = self._settings.smtp_from.partition("@")
        made["From"] = Address("Relais", name, domain)
        made["To"] = Address(addr_spec=letter.to)
        words, count = words_of(letter.language), len(letter.lines)
        made["Subject"] = words.many.format(count=count) if count > 1 else words.one
        # The same at every attempt: a mail program that got it twice shows it once.
        made["Message-ID"] = f"<{letter.id}@{domain}>"
        made["Auto-Submitted"] = "auto-generated"
        made["List-Unsubscribe"] = f"<{letter.stop_url}>"
        made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        told = "\n\n".join(f"Relais {what}.\n{url}" for what, url in letter.lines)
        made.set_content(f"{told}\n\n{words.stop}\n{letter.stop_url}\n")
        made["Content-Language"] = letter.language or FRENCH
        return made

    def send(self, letter: Letter) -> None:
        """Give a letter to the server; waits for it, so it is called in a thread.

        Raises:
            Untaken: The server does not take it, for now or for good.
        """
        settings = self._settings
        try:
            message = self.message(letter)
            with smtplib.SMTP(settings.smtp_host or "", settings.smtp_port, timeout=WITHIN_S) as server:
                if settings.smtp_security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if settings.smtp_user and settings.smtp_password:
                    server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
                server.send_message(message, self.bounce_address(letter.id), [letter.to])
        except smtplib.SMTPRecipientsRefused as no:
            code = max(code for code, _ in no.recipients.values())
            raise Untaken(permanent=code // 100 == PERMANENT) from None
        except (OSError, smtplib.SMTPException):
            # Of our own login or message, not of this mailbox: another hour, another try.
            raise Untaken(permanent=False) from None
        except ValueError:
            raise Untaken(permanent=True) from None


def undelivered(content: bytes) -> bool:
    """Answer whether a message is a report that delivery failed for good (RFC 3464: action failed, status 5)."""
    report = BytesParser(policy=policy.default).parsebytes(content)
    if report.get_content_type() != "multipart/report":
        return False
    for part in report.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        for block in part.get_payload():
            status, action = str(block.get("Status", "")), str(block.get("Action", ""))  # type: ignore[union-attr]  # blocks are messages
            if action.strip().lower() == "failed" and status.strip().startswith(f"{PERMANENT}."):
                return True
    return False
