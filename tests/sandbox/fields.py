"""Typed reading of JSON request bodies, with the refusals of the API."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

from errors import ScmError, bad_field, missing

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


def refuse_constant(text: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(text)


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object in a body; anything else is -1002."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ScmError(-1002) from error
    if not isinstance(value, dict):
        raise ScmError(-1002)
    return value


class Body:
    """A JSON object that is read field by field. Unknown fields are left alone."""

    def __init__(self, values: dict[str, Any], string_numbers: bool = False) -> None:
        self.values = values
        self._string_numbers = string_numbers

    def require(self, *names: str) -> None:
        """Refuse fields that are absent or null."""
        for name in names:
            if self.values.get(name) is None:
                raise missing(name)

    def integer(self, name: str) -> int | None:
        """A number without fraction."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, str) and self._string_numbers:
            value = self._from_text(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScmError(-1002)
        if not -(1 << 63) <= value < 1 << 63:
            raise ScmError(-1002)
        return value

    @staticmethod
    def _from_text(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise ScmError(-1002)
        return int(text)

    def text(self, name: str, least: int = 0, most: int | None = None) -> str | None:
        """A string of a length between least and most."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise ScmError(-1002)
        if len(value) < least or (most is not None and len(value) > most):
            raise bad_field(name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise ScmError(-1002)
        return value

    def word(self, name: str, words: tuple[str, ...]) -> str | None:
        """One of some words; another is a parse error, as enums are."""
        value = self.text(name)
        if value is not None and value not in words:
            raise ScmError(-1002)
        return value

    def texts(self, name: str) -> list[str] | None:
        """An array of strings."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ScmError(-1002)
        return value

    def objects(self, name: str) -> list[dict[str, Any]]:
        """An array of objects; absent is empty."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ScmError(-1002)
        return value

    def code(self, name: str, codes: tuple[int, ...]) -> int | None:
        """A number, also as a string, out of a few."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScmError(-1002)
        if value not in codes:
            raise bad_field(name)
        return value

    def emails(self, name: str, most: int) -> str | None:
        """Addresses separated by comma."""
        value = self.text(name, most=most)
        if value and not all(EMAIL.fullmatch(item.strip()) for item in value.split(",")):
            raise bad_field(name)
        return value


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_name(name: str) -> str:
    """A DNS name (a wildcard in the first label is one) or an address, in lower case."""
    if is_address(name):
        return str(ipaddress.ip_address(name))
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253 or len(labels) < 2 or not all(map(LABEL.fullmatch, labels)):
        raise ScmError(-732, name)
    if labels[-1].isdigit():
        raise ScmError(-732, name)
    return name.lower()


def split_names(text: str | None) -> list[str]:
    """The names of a comma list; empty places are no names."""
    return [item.strip() for item in (text or "").split(",") if item.strip()]
