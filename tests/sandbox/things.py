"""Device certificates: the routes below /device/v1, on the orders that SSL has, too."""

from __future__ import annotations

from typing import Any

import details
import listing
import made_up
import scm
from errors import ScmError, bad_field
from fields import Body
from message import Reply, json_reply, no_content
from orders import Order
from scm import Api, Call, Route
from settings import profile_fits, profile_json

KIND = "device"
CERT_TYPE = "Device"
OPTIONAL_FIELDS = {
    "commonName", "surname", "countryName", "localityName", "stateOrProvinceName", "streetAddress",
    "organizationName", "organizationalUnitName", "title", "description", "postalCode",
    "postOfficeBox", "telephoneNumber", "givenName", "initials", "emailAddress",
    "DocumentoNacionaldeIdentidad", "serialNumber", "SIRENE", "collectionEmailAddress",
    "rfc822Name", "subjectUniqueIdentifier", "uniqueIdentifier", "PermIdAscentMediaNetSecDept",
    "PermIdAscentMediaEngHomeNet", "sAMAccountName", "userId", "userPrincipalName",
    "unstructuredName", "domainComponent", "dnsName", "servicePrincipalName", "eeSID"}
FILTERS = ("commonName", "orgId", "serialNumber", "keyAlgorithm", "keyParam")


STATUSES = {"REQUESTED", "APPROVED", "DECLINED", "APPLIED", "ISSUED", "DOWNLOADED", "EXPIRED", "REVOKED", "REJECTED"}


def created(order: Order, call: Call) -> Reply:
    """The reply to enroll and renew; unlike that of SSL it has the state."""
    number = {"zero-id": 0, "negative-id": -1}.get(call.b.enroll_reply, details.show_id(order.id, call.b))
    value: dict[str, Any] = {"deviceCertId": number, "status": order.status.upper(),
                             "backendCertId": str(order.id), "orderNumber": order.id}
    if call.b.enroll_reply == "no-id":
        del value["deviceCertId"]
    return json_reply(value, int(call.b.enroll_status))


def check_optional(body: Body) -> None:
    for item in body.objects("optionalFields"):
        name = Body(item).text("name") or ""
        if name not in OPTIONAL_FIELDS:
            raise ScmError(-64, name)


def enroll(api: Api, call: Call) -> Reply:
    body, intake = call.body, api.intake
    body.require("orgId", "csr", "certType")
    org_id, cert_type = body.integer("orgId") or 0, body.integer("certType") or 0
    comments, _requester = intake.remarks(body)
    intake.organization(org_id, call.admin)
    profile = intake.profile(cert_type, org_id, KIND)
    term = profile["terms"][0] if body.integer("term") is None else intake.term(body, profile)
    csr = intake.csr(body, profile)
    check_optional(body)
    names = csr.names()
    common = csr.common_name() or (names or [""])[0]
    if not common:
        raise ScmError(-951, "common name")
    order = Order(api.store.new_id(call.b.id_kind), api.store.new_renew_id(), org_id, cert_type,
                  term, csr.pem(), common, names, call.admin.login,
                  intake.approval(profile, call.b), comments=comments, kind=KIND,
                  custom_fields=intake.custom_fields(body, CERT_TYPE))
    intake.begin(order, call.admin)
    return created(order, call)


def device(api: Api, call: Call) -> Order:
    return api.order(call, None, KIND)


def by_serial(api: Api, call: Call) -> Order:
    return api.known(api.store.by_serial(call.params["serial"]), call, None, KIND)


def row(order: Order, call: Call) -> dict[str, Any]:
    """An order in the list, which has no serial numbers."""
    cert = order.certificate()
    shown = details.certificate_json(cert)["certificateDetails"] if cert else {"subject": "CN=" + order.common_name}
    return {"id": details.show_id(order.id, call.b), "status": order.status.upper(),
            "backendCertId": str(order.id), "certificateDetails": shown}


def in_status(order: Order, text: str, call: Call) -> bool:
    """Whatever the spelling; lists have it in capitals."""
    if text.upper() not in STATUSES:
        raise bad_field("status")
    return call.b.status_filter == "ignore" or order.status.upper() == text.upper()


def rows(api: Api, call: Call) -> Reply:
    found = listing.shown(api.visible(call, KIND), call.b)
    status = call.request.parameter("status")
    if status is not None:
        found = [o for o in found if in_status(o, status, call)]
    for name in FILTERS:
        text = call.request.parameter(name)
        if text is not None:
            found = [o for o in found if listing.FILTERS[name](o, text, call.b)]
    cert_type = call.request.parameter("certTypeId")
    if cert_type is not None:
        found = [o for o in found if o.cert_type == listing.number(cert_type, "certTypeId")]
    page = [row(order, call) for order in listing.page(found, call.request, call.b)]
    more = made_up.count(call.request, call.b)
    if more:
        page += listing.more_rows(len(page), len(found), call.request, call.b, made_up.device_row)
    return json_reply(page, 200, *listing.total_header(len(found) + more, call.b))


def one(api: Api, call: Call) -> Reply:
    """Like the details of SSL, with fewer fields."""
    order = device(api, call)
    shown = api.details(order, call)
    kept = ("id", "commonName", "orgId", "status", "orderNumber", "backendCertId", "certType", "term",
            "requester", "comments", "serialNumber", "customFields", "certificateDetails",
            "requested", "approved", "issued", "expires", "revoked", "declined", "replaced")
    reply = json_reply({name: shown[name] for name in kept if name in shown})
    api.machine.count_poll(order)
    return reply


def types(api: Api, call: Call) -> Reply:
    orgs = {org["id"] for org in api.organizations(call)}
    wanted = call.request.parameter("organizationId")
    if wanted is not None:
        orgs &= {listing.number(wanted, "organizationId")}
    return json_reply([{**profile_json(profile), "term": profile["terms"][0],
                        "ku": ["digitalSignature"], "eku": ["clientAuth"]}
                       for profile in api.settings.profiles(KIND)
                       if any(profile_fits(profile, number) for number in orgs)])


def custom_fields(api: Api, call: Call) -> Reply:
    return json_reply([{"id": field["id"], "name": field["name"],
                        "mandatory": api.settings.mandatory(field)}
                       for field in api.settings.fields(CERT_TYPE)])


def collect(api: Api, call: Call) -> Reply:
    if call.request.parameter("format") is None:
        raise bad_field("format")
    return scm.collect(api, call, device(api, call))


def approve(api: Api, call: Call) -> Reply:
    order, message = scm.under_approval(api, call, KIND)
    api.machine.approve(order, call.admin.login, message)
    return no_content()


def decline(api: Api, call: Call) -> Reply:
    order, message = scm.under_approval(api, call, KIND)
    api.machine.decline(order, call.admin.login, message)
    return no_content()


def renewed(api: Api, call: Call, old: Order) -> Reply:
    """The same request once more: these calls take no body."""
    if call.request.body:
        raise ScmError(-1002)
    order = api.intake.renew(old, Body({}), call.admin, call.b)
    order.kind = KIND
    api.store.save(order)
    return created(order, call)


def renew(api: Api, call: Call) -> Reply:
    return renewed(api, call, device(api, call))


def renew_serial(api: Api, call: Call) -> Reply:
    return renewed(api, call, by_serial(api, call))


def replace(api: Api, call: Call) -> Reply:
    call.body.require("csr", "reason", "revoke")
    call.body.flag("revoke")
    api.intake.replace(device(api, call), call.body, call.admin, call.b)
    return no_content()


def revoke(api: Api, call: Call) -> Reply:
    code, reason = scm.revocation(call.body, call.b.revoke_strict)
    return scm.revoke(api, device(api, call), call, code, reason)


def revoke_serial(api: Api, call: Call) -> Reply:
    code, reason = scm.revocation(call.body, call.b.revoke_strict)
    return scm.revoke(api, by_serial(api, call), call, code, reason)


def update(api: Api, call: Call) -> Reply:
    """Comments and custom fields, in any state."""
    order = device(api, call)
    comments, _requester = api.intake.remarks(call.body)
    if call.body.values.get("customFields") is not None:
        order.custom_fields = api.intake.custom_fields(call.body, CERT_TYPE)
    order.comments = comments if comments is not None else order.comments
    api.store.save(order)
    return one(api, call)


def report_row(api: Api, order: Order, call: Call) -> dict[str, Any]:
    """An order in the report: what details have, without alternative names."""
    cert = order.certificate()
    dates = {name: details.date_text(order.times[state], "ISO_HMS") for name, state in
             (("enrolled", "Issued"), ("revoked", "Revoked")) if state in order.times}
    shown = {"id": details.show_id(order.id, call.b), "commonName": order.common_name,
             "organization": {"id": str(order.org_id), "name": api.organization_name(order.org_id)},
             "deviceCertStatus": order.status.capitalize(), "orderNumber": order.id, "backendCertId": str(order.id),
             "subject": cert.subject.rfc4514_string() if cert else "CN=" + order.common_name,
             "serialNumber": order.serial, "certTypeName": api.settings.profile(order.cert_type)["name"],
             "enrollType": "API", "keyType": details.key_json(order)["keyType"], "comments": order.comments,
             "expire": details.date_text(order.expires, "ISO_HMS") if order.expires else None, **dates}
    return {name: value for name, value in shown.items() if value is not None}


def report(api: Api, call: Call) -> Reply:
    scm.check_report(call)
    orders = listing.report_select(listing.reported(api.visible(call, KIND), call.b), call.body, (0, 1, 2, 3, 4, 8, 9))
    return json_reply({"statusCode": 0, "reports": [report_row(api, order, call) for order in orders]}, 200,
                      ("Content-Disposition", 'attachment; filename="device-certificates.json"'))


ROOT = "/device/v1"
ROUTES = [
    Route("GET", ROOT, rows),
    Route("HEAD", ROOT, rows),
    Route("GET", ROOT + "/types", types),
    Route("GET", ROOT + "/customFields", custom_fields),
    Route("POST", ROOT + "/enroll", enroll, "sslRequest", "required", True),
    Route("GET", ROOT + "/collect/{id}", collect),
    Route("POST", ROOT + "/approve/{id}", approve, "sslApprove", "required"),
    Route("POST", ROOT + "/decline/{id}", decline, "sslApprove", "required"),
    Route("POST", ROOT + "/renew/order/{id}", renew, "sslRenew", "none", True),
    Route("POST", ROOT + "/renew/serial/{serial}", renew_serial, "sslRenew", "none", True),
    Route("POST", ROOT + "/replace/order/{id}", replace, "sslReplace", "required", True),
    Route("POST", ROOT + "/revoke/order/{id}", revoke, "sslRevoke", "required"),
    Route("POST", ROOT + "/revoke/serial/{serial}", revoke_serial, "sslRevoke", "required"),
    Route("POST", "/report/v1/device-certificates", report, None, "required"),
    Route("PUT", ROOT + "/{id}", update, "sslRequest", "required"),
    Route("GET", ROOT + "/{id}", one),
]
