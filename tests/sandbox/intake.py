"""What goes into an order: checks of enroll, renew, replace and update requests."""

from __future__ import annotations

import copy
import datetime as dt
import re
import time
from types import SimpleNamespace
from typing import Any

import accounts as admins
import csr as csrs
import fields
from csr import Csr
from errors import ScmError, bad_field, missing
from fields import Body
from login import Admin
from orders import CORRECTABLE, Machine, Order, Store
from settings import Settings, profile_fits

DCV_MODES = ("CNAME", "EMAIL", "HTTP", "HTTPS", "TXT", "AUTO")
MAX_NAMES = 100
COMMENTS = 1024
REQUESTERS = 512
FIELD_PATTERNS = {"EMAIL": fields.EMAIL, "NUMBER": re.compile(r"-?[0-9]+(\.[0-9]+)?")}


def under(name: str, domains: list[str]) -> bool:
    """Whether a name is one of some domains or below one."""
    base = name.removeprefix("*.")
    return any(base == domain or base.endswith("." + domain) for domain in domains)


class Intake:
    """Checks requests and makes or changes orders."""

    def __init__(self, settings: Settings, store: Store, machine: Machine) -> None:
        self.settings = settings
        self.store = store
        self.machine = machine

    # --- enroll

    def enroll(self, body: Body, admin: Admin, b: SimpleNamespace) -> Order:
        """Make a new order."""
        body.require("orgId", "csr", "certType", "term")
        org_id, cert_type = body.integer("orgId") or 0, body.integer("certType") or 0
        comments, requester = self.remarks(body)
        org = self.organization(org_id, admin)
        profile = self.profile(cert_type, org_id)
        term = self.term(body, profile)
        csr = self.csr(body, profile)
        names = self.names(csr, fields.split_names(body.text("subjAltNames")), profile, b)
        self.check_domains(names, org)
        order = Order(
            self.store.new_id(b.id_kind), self.store.new_renew_id(), org_id, cert_type, term,
            csr.pem(), names[0], names, admin.login, self.approval(profile, b),
            comments=comments, external_requester=requester,
            custom_fields=self.custom_fields(body))
        self.set_dcv(order, body, b)
        self.begin(order, admin)
        return order

    def begin(self, order: Order, admin: Admin) -> None:
        auto = order.approval == "auto" and admin.allowed("autoApproveCertificates")
        self.machine.begin(order, auto)

    @staticmethod
    def approval(profile: dict, b: SimpleNamespace) -> str:
        """How an order is approved; some profiles always need a person."""
        return "manual" if profile["approval"] and b.approval == "auto" else b.approval

    @staticmethod
    def remarks(body: Body) -> tuple[str | None, str | None]:
        return body.text("comments", most=COMMENTS), body.emails("externalRequester", REQUESTERS)

    def organization(self, number: int, admin: Admin) -> dict:
        """The organization, if the admin may enroll for it."""
        if number < 1:
            raise ScmError(-639)
        org = self.settings.organization(number)
        if org is None:
            raise ScmError(-1023)
        if org not in admins.organizations(admin.account, [org]):
            raise ScmError(-3, f"enrollment for organization {number}")
        if not org["sslCertsApiEnabled"]:
            raise ScmError(-1021, "Web API is off")
        return org

    def profile(self, number: int, org_id: int, kind: str = "ssl") -> dict:
        row = self.settings.profile(number)
        if not profile_fits(row, org_id) or row.get("kind", "ssl") != kind:
            raise ScmError(-39, number)
        return row

    @staticmethod
    def term(body: Body, profile: dict) -> int:
        term = body.integer("term")
        if term not in profile["terms"]:
            raise ScmError(-36, term)
        return term

    @staticmethod
    def csr(body: Body, profile: dict) -> Csr:
        csr = csrs.read(body.text("csr") or "")
        csrs.check_key(csr, profile["keyTypes"])
        return csr

    # --- names

    def names(self, csr: Csr, wanted: list[str], profile: dict, b: SimpleNamespace) -> list[str]:
        """The names of the certificate, the common name first."""
        if wanted and not profile["san"]:
            raise bad_field("subjAltNames")
        common = [csr.common_name() or ""]
        asked = [] if b.san_source == "csr" else wanted
        extra = [] if b.san_source == "request" else csr.names()
        return self.checked(common + asked + extra, profile)

    @staticmethod
    def checked(names: list[str], profile: dict) -> list[str]:
        """Names without repetition, each allowed by the profile."""
        valid = list(dict.fromkeys(fields.check_name(name) for name in names if name))
        if not valid:
            raise ScmError(-951, "common name, subjAltNames")
        if len(valid) > MAX_NAMES:
            raise bad_field("subjAltNames")
        for name in valid:
            address = fields.is_address(name)
            if name.startswith("*.") and not profile["wildcard"] or address and not profile["ip"]:
                raise ScmError(-1010, name)
        return valid

    @staticmethod
    def check_domains(names: list[str], org: dict) -> None:
        """Refuse names outside the domains that an organization has, if it has a list."""
        if org.get("domains") is None:
            return
        for name in names:
            if not under(name, org["domains"]):
                raise ScmError(-1010, name)

    # --- domain control validation

    def set_dcv(self, order: Order, body: Body, b: SimpleNamespace) -> None:
        """Take the DCV wish of a request; without one, all domains must be validated."""
        mode = body.word("dcvMode", DCV_MODES)
        email = body.emails("dcvEmail", 256)
        open_names = self.not_validated(order.names, b)
        if open_names and mode is None:
            raise ScmError(-1137, ", ".join(open_names))
        if mode == "EMAIL" and not email:
            raise missing("dcvEmail")
        order.dcv_mode, order.dcv_email = mode, email
        bases = dict.fromkeys(name.removeprefix("*.") for name in order.names)
        waiting = {name.removeprefix("*.") for name in open_names} if b.dcv_checks else set()
        now = time.time()
        order.dcv = [{"domain": name, "checks": 0, "validated": name not in waiting, "last": now}
                     for name in bases]

    @staticmethod
    def not_validated(names: list[str], b: SimpleNamespace) -> list[str]:
        domains = fields.split_names(b.validated_domains.lower())
        return [] if "*" in domains else [name for name in names if not under(name, domains)]

    @staticmethod
    def recheck(order: Order, b: SimpleNamespace) -> None:
        """Look at the domains once more; enough looks find them validated."""
        for row in order.dcv:
            row["checks"] += 1
            row["last"] = time.time()
            row["validated"] = row["validated"] or row["checks"] >= b.dcv_checks

    # --- custom fields

    def custom_fields(self, body: Body, cert_type: str = "SSL") -> list[dict[str, str]]:
        """The custom fields of a request, checked against those of the customer."""
        known = {row["name"]: row for row in self.settings.fields(cert_type)}
        given: dict[str, str] = {}
        for item in body.objects("customFields"):
            entry = Body(item)
            name = entry.text("name", 1, 256)
            if name is None:
                raise missing("customFields.name")
            if name not in known:
                raise ScmError(-135, name)
            if name in given:
                raise ScmError(-160, name)
            given[name] = entry.text("value", most=256) or ""
            check_custom_value(known[name], given[name])
        for name, row in known.items():
            if Settings.mandatory(row) and not given.get(name):
                raise ScmError(-62, name)
        return [{"name": name, "value": value} for name, value in given.items()]

    # --- renew, replace, update

    def renew(self, old: Order, body: Body, admin: Admin, b: SimpleNamespace) -> Order:
        """Make the order that renews another; without a CSR it keeps the key."""
        profile = self.settings.profile(old.cert_type)
        if old.status not in ("Issued", "Expired") or old.reissuing:
            raise ScmError(-130, old.status)
        if not profile["renew"]:
            raise ScmError(-180)
        self.organization(old.org_id, admin)
        pem = old.csr if body.values.get("csr") is None else self.csr(body, profile).pem()
        order = Order(
            self.store.new_id(b.id_kind), self.store.new_renew_id(), old.org_id, old.cert_type,
            old.term, pem, old.common_name, list(old.names), admin.login,
            self.approval(profile, b), renewal_of=old.id,
            comments=old.comments if b.renew_comments == "copy" else None,
            external_requester=old.external_requester,
            custom_fields=[dict(row) for row in old.custom_fields])
        self.set_dcv(order, body, b)
        old.renewed = True
        old.times["Renewed"] = time.time()
        self.store.save(old)
        self.begin(order, admin)
        return order

    def replace(self, order: Order, body: Body, admin: Admin, b: SimpleNamespace) -> None:
        """Begin to reissue an order for the key of another CSR."""
        body.require("csr", "reason")
        body.text("reason", 1, 512)
        common = body.text("commonName", 1, 64)
        wanted = body.texts("subjectAlternativeNames")
        profile = self.settings.profile(order.cert_type)
        if order.status != "Issued" or order.reissuing:
            raise ScmError(-130, order.status)
        csr = self.csr(body, profile)
        names = order.names
        if common is not None or wanted is not None:
            if wanted and not profile["san"]:
                raise bad_field("subjectAlternativeNames")
            rest = order.names[1:] if wanted is None else wanted
            names = self.checked([common or order.common_name] + rest, profile)
        self.check_domains(names, self.organization(order.org_id, admin))
        changed = copy.deepcopy(order)
        changed.names, changed.common_name, changed.csr = names, names[0], csr.pem()
        self.set_dcv(changed, body, b)
        self.machine.replace(changed, admin.login, b.replace_status)

    def update(self, old: Order, body: Body, admin: Admin) -> Order:
        """Change what may be changed; a corrected order goes through approval again."""
        order = copy.deepcopy(old)
        comments, requester = self.remarks(body)
        if comments is not None:
            order.comments = comments
        if requester is not None:
            order.external_requester = requester
        if body.values.get("customFields") is not None:
            order.custom_fields = self.custom_fields(body)
        self.update_options(order, body)
        if self.correct(order, body, admin) and order.status != "Requested":
            self.begin(order, admin)
        self.store.save(order)
        return order

    @staticmethod
    def update_options(order: Order, body: Body) -> None:
        order.server_software = body.text("serverSoftware") or order.server_software
        suspend = body.flag("suspendNotifications")
        if suspend is not None:
            order.suspend_notifications = suspend
        wish = body.values.get("autoRenewDetails")
        if wish is None:
            return
        entry = Body(wish) if isinstance(wish, dict) else None
        if entry is None:
            raise ScmError(-1002)
        state = entry.word("state", ("Not scheduled", "Scheduled")) or "Not scheduled"
        days = entry.integer("daysBeforeExpiration")
        if days is not None and days < 1:
            raise bad_field("daysBeforeExpiration")
        order.auto_renew = {"state": state, "daysBeforeExpiration": days or 30}

    def correct(self, order: Order, body: Body, admin: Admin) -> bool:
        """Change the substance of an order that is not under way; say whether it changed."""
        substance = ("term", "certTypeId", "orgId", "commonName", "csr",
                     "subjectAlternativeNames")
        given = [name for name in substance if body.values.get(name) is not None]
        if not given:
            return False
        if order.status not in CORRECTABLE:
            raise bad_field(given[0])
        org_id = body.integer("orgId") or order.org_id
        org = self.organization(org_id, admin)
        profile = self.profile(body.integer("certTypeId") or order.cert_type, org_id)
        values: dict[str, Any] = {"term": order.term, "csr": order.csr, **body.values}
        merged = Body(values)
        term, csr = self.term(merged, profile), self.csr(merged, profile)
        wanted = body.texts("subjectAlternativeNames")
        common = body.text("commonName", 1, 64) or order.common_name
        names = self.checked([common] + (order.names[1:] if wanted is None else wanted), profile)
        self.check_domains(names, org)
        order.org_id, order.cert_type, order.term = org_id, profile["id"], term
        order.csr, order.names, order.common_name = csr.pem(), names, names[0]
        return True


def check_custom_value(field: dict, value: str) -> None:
    """Refuse a value that does not fit a custom field's type."""
    kind = field["input"]["type"]
    if not value:
        return
    if kind == "DATE":
        try:
            dt.datetime.strptime(value, "%Y-%m-%d")
        except ValueError as error:
            raise bad_field(field["name"]) from error
    pattern = FIELD_PATTERNS.get(kind)
    if pattern is not None and not pattern.fullmatch(value):
        raise bad_field(field["name"])
    if kind == "TEXT_OPTION" and value not in field["input"].get("options", []):
        raise bad_field(field["name"])
