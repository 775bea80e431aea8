"""Orders: what one is, the states it passes, and the store that keeps them on disk.

Each order is a file `orders/<id>.json`, replaced as a whole at each change; `state.json` holds
the counters. An order advances when somebody looks at it, by what the switches say then.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

from cryptography import x509

import certs
import files
from ca import CA
from csr import decode
from settings import Settings

# state: the states that may follow. Control may set any state.
NEXT: dict[str, tuple[str, ...]] = {
    "Init": ("Requested", "Invalid"),
    "Requested": ("SAApproved", "Approved", "Declined", "Invalid"),
    "SAApproved": ("Approved", "Declined"),
    "Approved": ("Applied", "Rejected", "Invalid"),
    "Applied": ("Issued", "Rejected", "Invalid"),
    "Issued": ("Applied", "Revoked", "Expired"),
    "Expired": ("Revoked",),
    "Revoked": (),
    "Replaced": (),
    "Declined": ("Requested",),
    "Rejected": ("Requested",),
    "Invalid": ("Requested",),
}
WAITING = ("Init", "Requested", "SAApproved", "Approved", "Applied")
UNDER_APPROVAL = ("Requested", "SAApproved")
CORRECTABLE = ("Requested", "Declined", "Rejected", "Invalid")
EKU = {"ssl": ("serverAuth",), "device": ("clientAuth",), "smime": ("emailProtection",)}
LARGE = 5_000_000_000
ALPHABET = string.ascii_letters + string.digits


@dataclass
class Order:
    """One certificate order. Times are seconds since 1970."""

    id: int
    renew_id: str
    org_id: int
    cert_type: int
    term: int
    csr: str                                   # PEM
    common_name: str
    names: list[str]                           # SAN of the certificate
    requester: str
    approval: str                              # behaviour approval when it was made
    status: str = "Requested"
    comments: str | None = None
    external_requester: str | None = None
    custom_fields: list[dict] = field(default_factory=list)
    dcv_mode: str | None = None
    dcv_email: str | None = None
    dcv: list[dict] = field(default_factory=list)      # {domain, checks, validated, last}
    times: dict[str, float] = field(default_factory=dict)
    history: list[list] = field(default_factory=list)  # [time, state, by whom]
    polls: int = 0                             # status calls in the present state
    collects: int = 0                          # collects since the present certificate
    approver: str | None = None
    message: str | None = None
    order_number: int = 0
    leaf: str | None = None                    # PEM of the present certificate
    serial: str | None = None                  # its serial number as colon hex
    expires: float | None = None               # its end
    old_leaf: str | None = None                # the one before a replacement
    old_serials: list[str] = field(default_factory=list)
    reissuing: bool = False
    reason_code: int | None = None
    reason: str | None = None
    renewed: bool = False
    renewal_of: int | None = None
    auto_renew: dict | None = None
    suspend_notifications: bool = False
    server_software: str | None = None
    kind: str = "ssl"                          # ssl, device or smime
    person: str | None = None                  # S/MIME: the name of its person

    def move(self, status: str, by: str) -> None:
        """Go to a state that may follow."""
        if status not in NEXT[self.status]:
            raise ValueError(f"{self.status} -> {status}")
        self.enter(status, by)

    def enter(self, status: str, by: str) -> None:
        """Go to any state; keep when and by whom."""
        now = time.time()
        self.status = status
        self.polls = 0
        self.times[status] = now
        self.history.append([now, status, by])

    def certificate(self) -> x509.Certificate | None:
        return certs.load_cert(self.leaf) if self.leaf else None

    def set_certificate(self, leaf: x509.Certificate) -> None:
        """Take a certificate as the present one."""
        self.leaf = certs.cert_pem(leaf)
        self.serial = certs.serial_text(leaf.serial_number)
        self.expires = leaf.not_valid_after.replace(tzinfo=timezone.utc).timestamp()
        self.collects = 0


class Store:
    """All orders of a directory. Hold `lock` around each use."""

    def __init__(self, directory: Path) -> None:
        self.lock = threading.RLock()
        self.directory = directory
        self._folder = directory / "orders"
        self._state = directory / "state.json"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.orders: dict[int, Order] = {}
        for path in self._folder.glob("*.json"):
            order = Order(**files.read_json(path))
            self.orders[order.id] = order
        self._counters = {"version": 1, "next_id": 1001, "next_order_number": 7300001}
        if self._state.exists():
            self._counters.update(files.read_json(self._state))
        self._save_counters()

    def _save_counters(self) -> None:
        files.write_json(self._state, self._counters)

    def save(self, order: Order) -> None:
        self.orders[order.id] = order
        files.write_json(self._folder / f"{order.id}.json", asdict(order))

    def remove(self, order: Order) -> None:
        """Lose an order."""
        del self.orders[order.id]
        (self._folder / f"{order.id}.json").unlink(missing_ok=True)

    def new_id(self, kind: str) -> int:
        """The next id; behaviour id_kind large makes it exceed 32 bits."""
        number = self._counters["next_id"]
        self._counters["next_id"] = number + 1
        self._save_counters()
        return number + (LARGE if kind == "large" else 0)

    def new_order_number(self) -> int:
        number = self._counters["next_order_number"]
        self._counters["next_order_number"] = number + 1
        self._save_counters()
        return number

    @staticmethod
    def new_renew_id() -> str:
        return "".join(secrets.choice(ALPHABET) for _ in range(20))

    def find(self, order_id: int) -> Order | None:
        return self.orders.get(order_id)

    def by_renew_id(self, renew_id: str) -> Order | None:
        return next((o for o in self.orders.values() if o.renew_id == renew_id), None)

    def by_serial(self, serial: str) -> Order | None:
        """The order whose present certificate has a serial number, in any spelling."""
        wanted = certs.plain_serial(serial)
        return next((o for o in self.orders.values()
                     if o.serial and certs.plain_serial(o.serial) == wanted), None)

    def all(self) -> list[Order]:
        return [self.orders[key] for key in sorted(self.orders)]


class Machine:
    """Moves orders from state to state."""

    def __init__(self, store: Store, ca: CA, settings: Settings) -> None:
        self.store = store
        self.ca = ca
        self.settings = settings

    def begin(self, order: Order, auto: bool) -> None:
        """Take a new or corrected order in; auto lets it pass without a person."""
        order.enter("Requested", order.requester)
        if auto:
            order.move("Approved", "auto-approval")
        self.store.save(order)

    def approve(self, order: Order, by: str, message: str | None = None) -> None:
        """One approval step."""
        two_steps = order.approval == "two-step" and order.status == "Requested"
        order.move("SAApproved" if two_steps else "Approved", by)
        order.approver, order.message = by, message
        self.store.save(order)

    def decline(self, order: Order, by: str, message: str | None = None) -> None:
        order.move("Declined", by)
        order.approver, order.message = by, message
        self.store.save(order)

    def advance(self, order: Order, b: SimpleNamespace) -> None:
        """Take every step that is due now."""
        before = order.status
        while self._step(order, b):
            pass
        if order.status != before:
            self.store.save(order)

    def count_poll(self, order: Order) -> None:
        """Note that somebody was told a state that will pass by itself."""
        if order.status in WAITING or order.reissuing:
            order.polls += 1
            self.store.save(order)

    def _step(self, order: Order, b: SimpleNamespace) -> bool:
        step = getattr(self, "_from_" + order.status.lower(), None)
        return step is not None and step(order, b)

    def _from_requested(self, order: Order, b: SimpleNamespace) -> bool:
        wait = {"decline": 0, "person-then-decline": b.approval_polls}.get(order.approval)
        if wait is None or order.polls < wait:
            return False
        self.decline(order, "sandbox", "declined by behaviour approval")
        return True

    def _from_approved(self, order: Order, b: SimpleNamespace) -> bool:
        if order.polls < b.approved_polls:
            return False
        order.move("Applied", "sandbox")
        order.order_number = order.order_number or self.store.new_order_number()
        return True

    def _from_applied(self, order: Order, b: SimpleNamespace) -> bool:
        ends = {"reject": "Rejected", "invalid": "Invalid"}
        if b.issue_result == "stuck" or not self._due(order, b):
            return False
        if b.issue_result in ends:
            order.move(ends[b.issue_result], "sandbox")
            return True
        if not all(row["validated"] for row in order.dcv):
            return False
        self.issue(order, b)
        return True

    @staticmethod
    def _due(order: Order, b: SimpleNamespace) -> bool:
        waited = time.time() - order.times["Applied"]
        return order.polls >= b.pending_polls and waited >= b.pending_seconds

    def _from_issued(self, order: Order, b: SimpleNamespace) -> bool:
        """An issued order expires, or gets its replacement if that does not show as Applied."""
        if order.reissuing and b.issue_result == "issue" and self._due(order, b):
            self.issue(order, b)
            return True
        if order.expires is None or order.expires > time.time():
            return False
        order.move("Expired", "sandbox")
        return True

    def issue(self, order: Order, b: SimpleNamespace) -> None:
        """Issue the certificate of an order, whatever its state."""
        profile = self.settings.profile(order.cert_type)
        request = decode(order.csr)
        leaf = self.ca.issue(request.public_key(), self._subject(order, profile), order.names,
                             profile["validation"], order.term,
                             -timedelta(days=b.backdate_days), EKU[order.kind])
        order.set_certificate(leaf)
        order.order_number = order.order_number or self.store.new_order_number()
        order.enter("Issued", "sandbox")
        if order.reissuing:
            order.reissuing = False
            order.times["Replaced"] = order.times["Issued"]
        self.store.save(order)

    def replace(self, order: Order, by: str, shown: str) -> None:
        """Begin to make another certificate under the same order."""
        order.old_leaf = order.leaf
        order.old_serials.append(order.serial or "")
        order.reissuing = True
        if shown == "applied":
            order.move("Applied", by)
        else:
            order.times["Applied"] = time.time()
            order.polls = 0
        self.store.save(order)

    def revoke(self, order: Order, by: str, code: int | None, reason: str | None) -> None:
        order.move("Revoked", by)
        order.reason_code, order.reason = code, reason
        self.store.save(order)

    def force(self, order: Order, status: str, b: SimpleNamespace) -> None:
        """Set any state, as control may; Issued needs a certificate."""
        if status == "Issued" and (order.leaf is None or order.reissuing):
            self.issue(order, b)
            return
        order.enter(status, "control")
        self.store.save(order)

    def _subject(self, order: Order, profile: dict) -> x509.Name:
        """Organization data come from the organization, never from the CSR."""
        name = order.person or (order.common_name if len(order.common_name) <= 64 else "")
        if profile["validation"] == "DV":
            return certs.subject([("CN", name)])
        org = self.settings.subject_organization(order.org_id)
        parts = [("C", org["country"]), ("ST", org["stateOrProvince"]), ("L", org["city"]),
                 ("O", org["name"])]
        if profile["validation"] == "EV":
            parts += [("businessCategory", "Private Organization"),
                      ("jurisdictionC", org["country"]), ("serialNumber", "SBX-1")]
        return certs.subject(parts + [("CN", name)])
