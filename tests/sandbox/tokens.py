"""OAuth 2 client credentials: the server that gives out tokens (RFC 6749 section 4.4), and bearers (RFC 6750)."""

from __future__ import annotations

import secrets
import threading
import time
from types import SimpleNamespace
from urllib.parse import parse_qs

from accounts import Accounts, same
from message import Reply, Request, json_reply

PATH = "/auth/realms/apiclients/protocol/openid-connect/token"


def refusal(error: str, description: str, status: int = 401) -> Reply:
    """RFC 6749 section 5.2."""
    return json_reply({"error": error, "error_description": description}, status)


class Tokens:
    """The tokens that were given out: whose, and until when. They end with the process."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, float]] = {}

    def give(self, request: Request, b: SimpleNamespace) -> Reply:
        """The reply to a request for a token."""
        if request.method != "POST":
            return refusal("invalid_request", "POST is wanted", 405)
        if (request.header("Content-Type") or "").partition(";")[0] != "application/x-www-form-urlencoded":
            return refusal("invalid_request", "a form is wanted", 400)
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("latin-1")).items()}
        if form.get("grant_type") != "client_credentials":
            return refusal("unsupported_grant_type", "only client_credentials", 400)
        client = form.get("client_id", "")
        account = next((a for a in self._accounts.all() if client and a.get("clientId") == client), None)
        if b.oauth == "refuse" or account is None or not same(form.get("client_secret", ""), account["clientSecret"]):
            return refusal("invalid_client", "Invalid client or Invalid client credentials")
        token = secrets.token_urlsafe(48)
        with self._lock:
            self._given[token] = (account["login"], time.time() + b.oauth_life_s)
        answer = {"access_token": token, "token_type": "Bearer", "scope": "", "not-before-policy": 0}
        return json_reply(answer if b.oauth == "no-expiry" else {**answer, "expires_in": b.oauth_life_s})

    def owner(self, request: Request) -> str | None:
        """Whose valid token a request carries."""
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        with self._lock:
            login, until = self._given.get(token, ("", 0.0))
        return login if scheme.lower() == "bearer" and until > time.time() else None
