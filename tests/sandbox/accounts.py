"""Admins: who may log in, how, and what they may do.

They lie in `accounts.json`, which people may edit while the sandbox runs.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from pathlib import Path
from typing import Any

import certs
import files
from errors import ScmError

CUSTOMER = "sandbox"
ADMIN = "sandbox-admin"
APPROVER = "sandbox-approver"
ENROLLER = "sandbox-enrollment"
ADMINISTRATION, ENROLLMENT = "administration", "enrollment"
SECRET_FILES = {ADMIN: "admin-client-secret.txt", ENROLLER: "enrollment-client-secret.txt"}
PASSWORD_FILES = {ADMIN: "admin-password.txt", APPROVER: "approver-password.txt"}
PRIVILEGES = ["sslRequest", "sslRenew", "sslReplace", "sslRevoke", "sslApprove",
              "autoApproveCertificates", "allowDCV"]


def new_account(login: str, serials: list[str]) -> dict[str, Any]:
    return {"login": login, "password": secrets.token_urlsafe(15), "customerUri": CUSTOMER,
            "certificateSerialNumbers": serials, "privileges": list(PRIVILEGES),
            "organizations": [103, 203, 104, 105], "active": True,
            "clientId": f"{login}-key", "clientSecret": secrets.token_urlsafe(24) + "]!,#.",
            "email": f"{login}@sandbox.invalid", "passwordExpirationDate": None}


def enrollment_account() -> dict[str, Any]:
    """An account of the Enrollment API: one profile, one term, one organization, and no rights of an admin."""
    return {**new_account(ENROLLER, []), "privileges": ["autoApproveCertificates"], "organizations": [103],
            "enrollment": {"certType": 1013, "term": 199}}


def surface(account: dict[str, Any]) -> str:
    """The API that an account is for."""
    return ENROLLMENT if "enrollment" in account else ADMINISTRATION


class Accounts:
    """The admins of a directory."""

    def __init__(self, directory: Path, admin_serials: list[str]) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        default = [new_account(ADMIN, admin_serials), new_account(APPROVER, []), enrollment_account()]
        new = not (directory / "accounts.json").exists()
        self._file = files.JsonFile(directory / "accounts.json", default)
        if new:
            for account in default:
                self._write_password(account)
        elif self.find(ADMIN):
            for serial in admin_serials:       # an earlier first start was cut short
                self.bind(ADMIN, serial)

    def all(self) -> list[dict[str, Any]]:
        with self._lock:
            return self._file.read()

    def find(self, login: str) -> dict[str, Any] | None:
        for account in self.all():
            if account["login"] == login:
                return account
        return None

    def bind(self, login: str, serial: str) -> None:
        """Let an admin log in with the client certificate of a serial number."""
        with self._lock:
            self._required(login)["certificateSerialNumbers"].append(serial)
            self._file.write(self.all())

    def change_password(self, login: str, new: Any) -> None:
        """Set an admin's password under the rules of the API."""
        with self._lock:
            account = self._required(login)
            check_password(account, new)
            account["password"] = new
            self._file.write(self.all())
            self._write_password(account)

    def _required(self, login: str) -> dict[str, Any]:
        account = self.find(login)
        if account is None:
            raise KeyError(login)
        return account

    def _write_password(self, account: dict[str, Any]) -> None:
        name = PASSWORD_FILES.get(account["login"])
        if name:
            files.write(self._directory / name, account["password"] + "\n")
        secret = SECRET_FILES.get(account["login"])
        if secret and "clientSecret" in account:
            files.write(self._directory / secret, account["clientSecret"] + "\n")


def check_password(account: dict[str, Any], new: Any) -> None:
    if new is None:
        raise ScmError(-1001, "newPassword")
    if not isinstance(new, str):
        raise ScmError(-1002)
    if new == account["password"]:
        raise ScmError(-220)
    if len(new) < 8:
        raise ScmError(-976)
    if account["login"].lower() in new.lower():
        raise ScmError(-982)


def same(given: str, wanted: Any) -> bool:
    """Compare a header value with what it must be, in constant time."""
    return hmac.compare_digest(given.encode("latin-1", "replace"), str(wanted).encode())


def password_fits(account: dict[str, Any], given: str) -> bool:
    return same(given, account["password"])


def customer_fits(account: dict[str, Any], given: str) -> bool:
    return same(given, account["customerUri"])


def serial_bound(account: dict[str, Any], serial: str) -> bool:
    """Whether a client certificate's serial number (plain hex) belongs to the admin."""
    return serial in {certs.plain_serial(str(text))
                      for text in account["certificateSerialNumbers"]}


def allowed(account: dict[str, Any], privilege: str) -> bool:
    return privilege in account.get("privileges", [])


def organizations(account: dict[str, Any], rows: list[dict]) -> list[dict]:
    """The organizations that an admin sees; no list means all."""
    mine = account.get("organizations")
    return [row for row in rows if mine is None or row["id"] in mine]
