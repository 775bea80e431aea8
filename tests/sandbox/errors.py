"""Refusals of the API: a code, a text and an HTTP status."""

from __future__ import annotations

TEXTS: dict[int, str] = {
    0: "Being processed by Sectigo",
    -1: "Unknown error",
    -2: "Internal error, please contact support",
    -3: "You are not authorized to perform {0}.",
    -7: "Required item is missing: {0}",
    -9: "The CSR is not valid Base64 data",
    -10: "Error while decoding the CSR",
    -11: "The CSR uses an unsupported algorithm: {0}",
    -13: "The CSR uses an unsupported key size: {0}",
    -16: "Unknown user",
    -36: "The term {0} is not valid for this profile",
    -37: "Access denied",
    -39: "The certificate profile id {0} is not valid",
    -62: "Mandatory custom field is missing: {0}",
    -64: "The optional field '{0}' is invalid",
    -78: "The public key is invalid or unsupported",
    -102: "Only issued certificates can be revoked",
    -103: "The certificate has not been collected yet",
    -105: "Error while renewing, status = {0}",
    -107: "DCV is incomplete or expired for {0}",
    -109: "The certificate is not available now, try later",
    -110: "The certificate is revoked and cannot be downloaded",
    -111: "There is no certificate profile with that id",
    -123: "The certificate to renew is invalid",
    -124: "Wrong SSL id",
    -126: "Unknown certificate format: {0}",
    -130: "SSL state is not ISSUED: {0}",
    -135: "Custom field not found: {0}",
    -138: "The CSR is invalid",
    -141: "The key is too small, the minimum is {0} bits",
    -159: "The certificate is already revoked",
    -160: "Custom field given twice: {0}",
    -170: "CSRs with ECC keys are not allowed",
    -180: "This profile does not allow to renew",
    -183: "Certificate is not collectable.",
    -196: "Connection error while retrieving the DCV e-mail list",
    -213: "The old password is wrong",
    -220: "The new password equals the old one",
    -639: "The organization id is not valid",
    -700: "The domain already exists: {0}",
    -705: "The domain's delegation is not in the right state",
    -715: "The domain is inactive: {0}",
    -723: "{0} is not a high level domain; only high level domains can be validated",
    -724: "The request is blocked by the validation status",
    -727: "The domain does not exist: {0}",
    -732: "Invalid domain name: {0}",
    -951: "At least one of these is needed: {0}",
    -976: "The password is too short",
    -982: "The password contains the login",
    -1001: "Value of '{0}' must not be null.",
    -1002: "Cannot parse message body",
    -1010: "The domain is not allowed: {0}",
    -1021: "Operation is not possible for this organization: {0}",
    -1023: "The organization was not found",
    -1112: "Cannot approve or decline in state {0}",
    -1137: "Not validated: {0}",
    -1140: "The requester may not approve an EV request of his own",
    -1400: "The request is being processed by Sectigo.",
    -1450: "Unsupported certificate format: {0}",
    -1601: "Field '{0}' has an invalid value",
    -1603: "Error while validating the domain",
    -1608: "DCV is not enabled for this customer",
    -5101: "The certificate was not found",
}


class ScmError(Exception):
    """A refusal; becomes a JSON error object."""

    def __init__(self, code: int, *args: object, status: int = 400) -> None:
        self.code = code
        self.status = status
        self.description = TEXTS[code].format(*args)
        super().__init__(f"{code} {self.description}")

    def body(self) -> dict[str, object]:
        return {"code": self.code, "description": self.description}


def missing(field: str) -> ScmError:
    """The refusal of a required field that is null or absent."""
    return ScmError(-1001, field)


def bad_field(field: str) -> ScmError:
    """The refusal of a field whose value is not allowed."""
    return ScmError(-1601, field)


def not_found() -> ScmError:
    """The refusal of an unknown certificate id."""
    return ScmError(-5101, status=404)
