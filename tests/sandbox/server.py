"""TLS and HTTP/1.1: one bounded thread per connection."""

from __future__ import annotations

import itertools
import logging
import socket
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import certs
import tls
import wire
from app import App
from message import Reply, Request, plain_error
from tls import Contexts

MAX_BODY = 1 << 20
MAX_CONNECTIONS = 128
HANDSHAKE_S = 10
IDLE_S = 60


class Handler(BaseHTTPRequestHandler):
    """The HTTP conversation on one connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: "Server"
    connection: ssl.SSLSocket

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)
        self.generation = self.server.app.behaviours.tls_generation
        self.wire = wire.Wire(self.connection, self.server.app.stopping)

    def handle(self) -> None:
        """Serve requests until one side ends the connection."""
        try:
            super().handle()
            wire.close(self.connection)
        except (wire.Gone, OSError) as error:
            logging.debug("connection over: %r", error)
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            pass                       # the connection is gone already

    def do_request(self) -> None:
        """Serve one request."""
        problem = self.body_problem()
        if problem is not None:
            self.refuse(problem)
            return
        body = self.rfile.read(self.content_length())
        if len(body) < self.content_length():
            self.close_connection = True       # the client left while it was sending
            return
        asking = self.server.app.behaviours.now().client_cert == "post-handshake"
        if asking and self.path.startswith("/private/"):
            tls.ask_certificate(self.connection)
        request = self.request_of(body)
        reply, b = self.server.app.exchange(request)
        if b.keep_alive != "yes" or self.generation != self.server.app.behaviours.tls_generation:
            self.close_connection = True
        announced = b.keep_alive == "drop" or not self.close_connection
        self.wire.send(reply, b, self.command == "HEAD", announced)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_request

    def handle_expect_100(self) -> bool:
        """Refuse a body that is too long before it comes."""
        problem = self.body_problem()
        if problem is None:
            return super().handle_expect_100()
        self.refuse(problem)
        return False

    def content_length(self) -> int:
        return int(self.headers.get("Content-Length", "0"))

    def body_problem(self) -> Reply | None:
        """Why the body of a request cannot be read, if so."""
        if self.headers.get("Transfer-Encoding") is not None:
            return plain_error(411, "Content-Length is needed")
        lengths = self.headers.get_all("Content-Length") or ["0"]
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            return plain_error(400, "Bad Content-Length")
        if len(lengths[0]) > 12 or int(lengths[0]) > MAX_BODY:
            return plain_error(413, "The body is too long")
        return None

    def refuse(self, reply: Reply) -> None:
        """Reply without reading the body; the connection ends after it."""
        self.close_connection = True
        self.server.app.refuse(self.request_of(b""), reply)
        self.wire.send(reply, self.server.app.behaviours.now(), self.command == "HEAD", False)

    def request_of(self, body: bytes) -> Request:
        path, _mark, query = self.path.partition("?")
        front = self.server.app.behaviours.now().front_header
        serial = (certs.plain_serial(self.headers[front]) if front and self.headers.get(front)
                  else None if front else tls.client_serial(self.connection))
        return Request(self.command, path, query, parse_qs(query, keep_blank_values=True),
                       self.headers, body, self.connection.version(), serial or None, self.number)

    def send_error(self, code: int, message: str | None = None,
                   explain: str | None = None) -> None:
        """What http.server refuses by itself, as a JSON error."""
        self.close_connection = True
        reply = plain_error(int(code), message or "Bad request")
        self.wire.send(reply, self.server.app.behaviours.now(), False, False)

    def log_message(self, format: str, *args: Any) -> None:
        logging.debug(format, *args)


class Server(socketserver.TCPServer):
    """The TLS listener."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, contexts: Contexts) -> None:
        super().__init__((host, port), Handler)
        self.contexts = contexts
        self.app: App = None           # type: ignore[assignment]  # set before serving
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.numbers = itertools.count(1)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread; wait for one if all are busy."""
        while not self._places.acquire(timeout=0.5):
            if self.app.stopping.is_set():
                self.shutdown_request(request)
                return
        try:
            threading.Thread(target=self.serve_connection, args=(request, client_address),
                             daemon=True).start()
        except RuntimeError:           # the system gives no more threads
            self._places.release()
            raise

    def serve_connection(self, raw: socket.socket, client_address: Any) -> None:
        connection: socket.socket = raw
        try:
            connection = self.handshake(raw)
            with self._open_lock:
                self._open.add(connection)
            self.finish_request(connection, client_address)  # type: ignore[arg-type]
        except OSError as error:
            logging.info("connection from %s: %s", client_address, error)
        except Exception:
            logging.exception("connection from %s", client_address)
        finally:
            with self._open_lock:
                self._open.discard(connection)
            connection.close()
            self._places.release()

    def handshake(self, raw: socket.socket) -> ssl.SSLSocket:
        """Do the TLS handshake under the present switches."""
        raw.settimeout(HANDSHAKE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = self.contexts.get(self.app.behaviours.now())
        connection = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        try:
            connection.do_handshake()
        except OSError:
            wire.drain(connection)     # so that the client reads the alert
            connection.close()
            raise
        return connection

    def end_connections(self) -> None:
        """Wake up all connections and end them."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass
