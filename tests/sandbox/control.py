"""The control surface: plain HTTP on loopback, JSON in and out, for tests and people."""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import asdict
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

import accounts as admins
import ca as authority
import certs
import clients
from app import App
from behaviour import BadSwitch
from csr import Csr, read
from errors import ScmError
from orders import NEXT, UNDER_APPROVAL, Order

MAX_BODY = 8 << 20
OTHER_KEY = "other"


class Bad(Exception):
    """A control call that cannot be done: status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Control:
    """What the control calls do."""

    def __init__(self, app: App, ca: authority.CA, directory: Path, url: str,
                 save: Callable[[], Path | None]) -> None:
        self.app = app
        self.ca = ca
        self.directory = directory
        self.url = url
        self.save = save

    # --- state of the sandbox

    def ping(self, _call: "Call") -> Any:
        return {"pid": os.getpid(), "url": self.url, "dir": str(self.directory)}

    def save_state(self, _call: "Call") -> Any:
        """Write the state into the file that --state names."""
        path = self.save()
        if path is None:
            raise Bad(409, "the sandbox was started without --state")
        return {"state": str(path)}

    def behaviours(self, _call: "Call") -> Any:
        return self.app.behaviours.values()

    def set_behaviours(self, call: "Call") -> Any:
        return self.app.behaviours.merge(call.json())

    def reset_behaviours(self, _call: "Call") -> Any:
        return self.app.behaviours.reset()

    def faults(self, _call: "Call") -> Any:
        return self.app.behaviours.faults()

    def add_faults(self, call: "Call") -> Any:
        return self.app.behaviours.add_faults(call.json())

    def clear_faults(self, _call: "Call") -> Any:
        self.app.behaviours.clear_faults()
        return []

    def settings(self, _call: "Call") -> Any:
        return self.app.api.settings.all()

    def set_settings(self, call: "Call") -> Any:
        return self.app.api.settings.merge(call.json())

    def requests(self, call: "Call") -> Any:
        since = call.query.get("since", ["0"])[-1]
        if not re.fullmatch(r"[0-9]{1,12}", since):
            raise Bad(400, "since is a number")
        return self.app.log.since(int(since))

    def clear_requests(self, _call: "Call") -> Any:
        self.app.log.clear()
        return []

    # --- orders

    def orders(self, _call: "Call") -> Any:
        return [self.shown(order) for order in self.app.api.store.all()]

    def order(self, call: "Call") -> Any:
        return self.shown(self.found(call))

    def found(self, call: "Call") -> Order:
        """The order in the path, advanced to now."""
        order = self.app.api.store.find(int(call.params["id"]))
        if order is None:
            raise Bad(404, "no such order")
        self.app.api.machine.advance(order, self.app.behaviours.now())
        return order

    def lose(self, call: "Call") -> Any:
        """The CA has never heard of an order any more."""
        order = self.found(call)
        self.app.api.store.remove(order)
        return self.shown(order)

    @staticmethod
    def shown(order: Order) -> dict[str, Any]:
        return asdict(order)

    def decide(self, call: "Call") -> Any:
        """Approve, decline or reject an order that waits."""
        order, verb = self.found(call), call.params["verb"]
        machine = self.app.api.machine
        if verb == "reject":
            machine.force(order, "Rejected", self.app.behaviours.now())
        elif order.status not in UNDER_APPROVAL:
            raise Bad(409, f"order {order.id} is {order.status}")
        elif verb == "approve":
            machine.approve(order, "control")
        else:
            machine.decline(order, "control")
        return self.shown(self.app.api.store.orders[order.id])

    def issue(self, call: "Call") -> Any:
        order = self.found(call)
        if order.status == "Issued" and not order.reissuing:
            raise Bad(409, f"order {order.id} is Issued")
        self.app.api.machine.issue(order, self.app.behaviours.now())
        return self.shown(order)

    def set_status(self, call: "Call") -> Any:
        status = call.object().get("status")
        if status not in NEXT:
            raise Bad(400, "status is one of " + ", ".join(NEXT))
        order = self.found(call)
        self.app.api.machine.force(order, status, self.app.behaviours.now())
        return self.shown(order)

    # --- certificates

    def client_cert(self, call: "Call") -> Any:
        """Sign a client certificate for a key that somebody else holds."""
        body = call.object()
        csr = self.csr(body)
        eku = body.get("eku", ["clientAuth"])
        if not isinstance(eku, list) or not set(map(str, eku)) <= set(certs.EKU):
            raise Bad(400, "eku is a list of " + ", ".join(certs.EKU))
        days = self.days(body, clients.DAYS)
        login = body.get("login", admins.ADMIN)
        if body.get("bind", True) and self.app.api.accounts.find(str(login)) is None:
            raise Bad(404, f"no such login: {login}")
        cert = clients.issue(self.ca.pki["client"], csr.request.subject,
                             csr.request.public_key(), tuple(eku), days)
        serial = certs.serial_text(cert.serial_number)
        if body.get("bind", True):
            self.app.api.accounts.bind(str(login), serial)
        return {"cert": certs.cert_pem(cert), "chain": self.ca.pki["client"].pem(),
                "serial": serial, "bound": bool(body.get("bind", True))}

    def sign(self, call: "Call") -> Any:
        """Issue a leaf directly from the issuing CA."""
        body = call.object()
        csr = self.csr(body)
        names = body.get("names") or self.csr_names(csr)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Bad(400, "names is a list of strings")
        key: Any = csr.request.public_key()
        if body.get("key", "same") == OTHER_KEY:
            key = certs.same_kind(key).public_key()
        offset = timedelta(days=self.days(body, 0, "not_before_offset_days", -20000))
        subject = certs.subject([("C", "GB"), ("O", "Sandbox Org"), ("CN", names[0][:64])])
        leaf = self.ca.issue(key, subject, names, "OV", self.days(body, 365), offset)
        chain = self.ca.chain(leaf)
        return {"cert": certs.cert_pem(leaf), "serial": certs.serial_text(leaf.serial_number),
                "chain": certs.cert_pem(chain.intermediate, chain.root)}

    @staticmethod
    def csr(body: dict[str, Any]) -> Csr:
        return read(str(body.get("csr") or ""))

    @staticmethod
    def csr_names(csr: Csr) -> list[str]:
        names = [name for name in [csr.common_name(), *csr.names()] if name]
        if not names:
            raise Bad(400, "names are needed: the CSR has none")
        return list(dict.fromkeys(names))

    @staticmethod
    def days(body: dict[str, Any], default: int, name: str = "days", least: int = 1) -> int:
        value = body.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 20000:
            raise Bad(400, f"{name} is a whole number of days")
        return value


Action = Callable[[Control, "Call"], Any]
ROUTES: tuple[tuple[str, str, Action], ...] = (
    ("GET", r"/ping", Control.ping),
    ("POST", r"/state", Control.save_state),
    ("GET", r"/behaviours", Control.behaviours),
    ("POST", r"/behaviours", Control.set_behaviours),
    ("DELETE", r"/behaviours", Control.reset_behaviours),
    ("GET", r"/behaviours/once", Control.faults),
    ("POST", r"/behaviours/once", Control.add_faults),
    ("DELETE", r"/behaviours/once", Control.clear_faults),
    ("GET", r"/settings", Control.settings),
    ("POST", r"/settings", Control.set_settings),
    ("GET", r"/orders", Control.orders),
    ("GET", r"/orders/(?P<id>[0-9]{1,18})", Control.order),
    ("DELETE", r"/orders/(?P<id>[0-9]{1,18})", Control.lose),
    ("POST", r"/orders/(?P<id>[0-9]{1,18})/(?P<verb>approve|decline|reject)", Control.decide),
    ("POST", r"/orders/(?P<id>[0-9]{1,18})/issue", Control.issue),
    ("POST", r"/orders/(?P<id>[0-9]{1,18})/status", Control.set_status),
    ("GET", r"/requests", Control.requests),
    ("DELETE", r"/requests", Control.clear_requests),
    ("POST", r"/client-cert", Control.client_cert),
    ("POST", r"/sign", Control.sign),
)


class Call:
    """One control call."""

    def __init__(self, params: dict[str, str], query: dict[str, list[str]], body: bytes) -> None:
        self.params = params
        self.query = query
        self.body = body

    def json(self) -> Any:
        try:
            return json.loads(self.body.decode() or "null")
        except ValueError as error:
            raise Bad(400, f"not JSON: {error}") from error

    def object(self) -> dict[str, Any]:
        value = self.json()
        if not isinstance(value, dict):
            raise Bad(400, "an object is needed")
        return value


class Handler(BaseHTTPRequestHandler):
    """The HTTP side of the control surface."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    server: "ControlServer"

    def do_request(self) -> None:
        try:
            self.check_origin()
            status, value = 200, self.dispatch()
        except Bad as error:
            status, value = error.status, {"error": str(error)}
        except (BadSwitch, ScmError, ValueError) as error:
            status, value = 400, {"error": str(error)}
        except Exception:
            logging.exception("control %s %s", self.command, self.path)
            status, value = 500, {"error": "internal error, see sandbox.log"}
        self.answer(status, value)

    do_GET = do_POST = do_DELETE = do_PUT = do_request

    def check_origin(self) -> None:
        """Refuse web pages: they send an Origin, or a name that only points to loopback."""
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if self.headers.get("Origin") or host not in ("127.0.0.1", "localhost"):
            self.close_connection = True
            raise Bad(403, "for local programs only")

    def dispatch(self) -> Any:
        body = self.read()
        parts = urlsplit(self.path)
        allowed = False
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, parts.path)
            if match and method == self.command:
                call = Call(match.groupdict(), parse_qs(parts.query), body)
                with self.server.control.app.api.store.lock:
                    return action(self.server.control, call)
            allowed = allowed or match is not None
        raise Bad(405 if allowed else 404, "no such control call")

    def read(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY:
            self.close_connection = True
            raise Bad(400, "bad Content-Length")
        return self.rfile.read(int(length))

    def answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        logging.debug("control: " + format, *args)


class ControlServer(ThreadingHTTPServer):
    """The control listener."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.control: Control = None   # type: ignore[assignment]  # set before serving

    def handle_error(self, request: Any, client_address: Any) -> None:
        logging.info("control connection from %s failed", client_address, exc_info=True)
