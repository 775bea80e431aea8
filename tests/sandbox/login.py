"""Logging in: by headers on /api, by TLS client certificate and headers on /private/api."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import accounts as admins
from accounts import Accounts
from errors import ScmError
from message import Reply, Request, error_reply, page_reply
from tokens import Tokens


class Refused(Exception):
    """The login is refused; carries the reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.status))
        self.reply = reply


@dataclass(frozen=True)
class Admin:
    """Who is logged in."""

    account: dict[str, Any]
    mode: str                  # password, certificate or token

    @property
    def login(self) -> str:
        return self.account["login"]

    def allowed(self, privilege: str) -> bool:
        return admins.allowed(self.account, privilege)


def refuse(b: SimpleNamespace) -> Refused:
    """A refusal in the shape that behaviour auth_reply names."""
    if b.auth_reply == "403":
        return Refused(error_reply(ScmError(-37, status=403)))
    if b.auth_reply == "html":
        return Refused(page_reply(401))
    if b.auth_reply == "empty":
        return Refused(Reply(401))
    return Refused(error_reply(ScmError(-16, status=401)))


def refuse_no_certificate(b: SimpleNamespace) -> Refused:
    """A refusal on /private when TLS brought no client certificate."""
    if b.private_no_cert == "403":
        return Refused(error_reply(ScmError(-37, status=403)))
    if b.private_no_cert == "400-html":
        return Refused(page_reply(400))
    return refuse(b)


def login(request: Request, private: bool, accounts: Accounts, tokens: Tokens, b: SimpleNamespace,
          surface: str = admins.ADMINISTRATION) -> Admin:
    """The admin who sends a request; raises Refused."""
    if request.header("Authorization") is not None and not private:
        account = accounts.find(tokens.owner(request) or "")
        if b.auth == "refuse" or account is None or not account.get("active", True):
            raise refuse(b)
        if admins.surface(account) != surface:
            raise refuse(b)
        return Admin(account, "token")
    if surface == admins.ENROLLMENT:
        raise refuse(b)                # which takes tokens alone
    if private and request.client_serial is None:
        raise refuse_no_certificate(b)
    account = accounts.find(request.header("login") or "")
    if b.auth == "refuse" or account is None or not account.get("active", True):
        raise refuse(b)
    if admins.surface(account) != surface:
        raise refuse(b)
    if not admins.customer_fits(account, request.header("customerUri") or ""):
        raise refuse(b)
    if private:
        proven = admins.serial_bound(account, request.client_serial or "")
    else:
        proven = admins.password_fits(account, request.header("password") or "")
    if not proven:
        raise refuse(b)
    return Admin(account, "certificate" if private else "password")
