"""What the customer has: certificate profiles, organizations and custom fields.

They lie in `settings.json`, which people may edit while the sandbox runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errors import ScmError
from files import JsonFile

RSA = ["2048", "3072", "4096"]
CURVES = ["P-256", "P-384", "P-521"]
ALL_KEYS = {"RSA": RSA, "EC": CURVES}


def profile(number: int, name: str, validation: str, terms: list[int], **more: Any) -> dict:
    """One profile. san: whether subjAltNames are taken; approval: always needs a person."""
    return {"id": number, "name": name, "description": f"{name} of the sandbox",
            "validation": validation, "terms": terms, "keyTypes": ALL_KEYS,
            "useSecondaryOrgName": False, "san": True, "wildcard": False, "ip": False,
            "approval": False, "renew": True, "organizations": None, "kind": "ssl", **more}


def organization(number: int, name: str, **more: Any) -> dict:
    return {"id": number, "name": name, "parentId": None, "sslCertsApiEnabled": True,
            "clientCertsApiEnabled": False, "domains": None,
            "address1": "1 Sandbox Street", "city": "Salford",
            "stateOrProvince": "Greater Manchester", "postalCode": "M5 3EQ", "country": "GB",
            **more}


def custom_field(number: int, name: str, kind: str, mandatory: bool = False,
                 options: list[str] | None = None) -> dict:
    entry: dict[str, Any] = {"type": kind}
    if options:
        entry["options"] = options
    return {"id": number, "name": name, "certType": "SSL", "state": "ACTIVE", "input": entry,
            "mandatories": ["REST_API", "ADMIN_UI"] if mandatory else []}


DEFAULTS = {
    "profiles": [
        profile(1013, "Sandbox OV SSL", "OV", [199, 365], ip=True),
        profile(1014, "Sandbox OV SSL Single Domain", "OV", [199, 365], san=False),
        profile(1015, "Sandbox OV Multi Domain", "OV", [199, 365], wildcard=True, ip=True),
        profile(1016, "Sandbox OV Wildcard", "OV", [199, 365], wildcard=True),
        profile(1017, "Sandbox DV SSL", "DV", [90], keyTypes={"RSA": RSA}),
        profile(1018, "Sandbox EV SSL", "EV", [199, 365], approval=True),
        profile(1019, "Sandbox OV Once", "OV", [30, 90], renew=False),
        profile(2001, "Sandbox Device", "OV", [365, 730], kind="device"),
        profile(3001, "Sandbox S/MIME", "OV", [365], kind="smime"),
    ],
    "organizations": [
        organization(103, "Sandbox Org"),
        organization(203, "Sandbox Department", parentId=103),
        organization(104, "Sandbox Org Without API", sslCertsApiEnabled=False),
        organization(105, "Sandbox Org With Domains", domains=["limited.example"]),
        organization(106, "Sandbox Org Not Delegated"),
    ],
    "customFields": [
        custom_field(1, "Cost Centre", "TEXT_SINGLE_LINE"),
        custom_field(2, "Go Live", "DATE"),
        custom_field(3, "Environment", "TEXT_OPTION", options=["test", "production"]),
    ],
}


class Settings:
    """The present settings."""

    def __init__(self, directory: Path) -> None:
        self._file = JsonFile(directory / "settings.json", DEFAULTS)

    def all(self) -> dict[str, list[dict]]:
        return self._file.read()

    def merge(self, sections: Any) -> dict[str, list[dict]]:
        """Replace whole sections."""
        if not isinstance(sections, dict) or not set(sections) <= set(DEFAULTS):
            raise ValueError("sections are " + ", ".join(DEFAULTS))
        for name, rows in sections.items():
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError(f"{name} must be a list of objects")
        self._file.write({**self.all(), **sections})
        return self.all()

    def profile(self, number: int) -> dict:
        for row in self.all()["profiles"]:
            if row["id"] == number:
                return row
        raise ScmError(-39, number)

    def organization(self, number: int) -> dict | None:
        for row in self.all()["organizations"]:
            if row["id"] == number:
                return row
        return None

    def subject_organization(self, number: int) -> dict:
        """The organization whose name goes into subjects: of a department, its parent."""
        row = self.organization(number)
        assert row is not None
        parent = self.organization(row["parentId"]) if row.get("parentId") else None
        return parent or row

    def profiles(self, kind: str) -> list[dict]:
        """The profiles for certificates of a kind."""
        return [row for row in self.all()["profiles"] if row.get("kind", "ssl") == kind]

    def fields(self, cert_type: str = "SSL") -> list[dict]:
        """The active custom fields of a type of certificates."""
        return [row for row in self.all()["customFields"]
                if row["state"] == "ACTIVE" and row["certType"] == cert_type]

    @staticmethod
    def mandatory(field: dict) -> bool:
        return "REST_API" in field["mandatories"]


def profile_json(row: dict) -> dict:
    """A profile as the API shows it."""
    return {key: row[key] for key in
            ("id", "name", "description", "terms", "keyTypes", "useSecondaryOrgName")}


def profile_fits(row: dict, org_id: int) -> bool:
    """Whether an organization may use a profile."""
    return row.get("organizations") is None or org_id in row["organizations"]


def organization_json(row: dict, rows: list[dict]) -> dict:
    """An organization or department with its details, as the API shows it."""
    names = {other["id"]: other["name"] for other in rows}
    shown = {key: row[key] for key in
             ("id", "name", "address1", "city", "stateOrProvince", "postalCode", "country",
              "sslCertsApiEnabled", "clientCertsApiEnabled")}
    shown["certTypes"] = ["SSL"] if row["sslCertsApiEnabled"] else []
    shown["departments"] = departments_json(row, rows)
    if row.get("parentId"):
        shown["parentId"] = row["parentId"]
        shown["parentName"] = names.get(row["parentId"], "")
    return shown


def departments_json(row: dict, rows: list[dict]) -> list[dict]:
    return [{"id": other["id"], "name": other["name"], "parentName": row["name"]}
            for other in rows if other.get("parentId") == row["id"]]
