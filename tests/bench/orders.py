"""Many orders asked about by one process, beside curl with the same requests."""

from __future__ import annotations

import http.client
import json
import resource
import secrets
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

from p11e import Client, Sandbox, Token, clean_env
from tools import spread

CONNECTIONS = 8
HEAD = ["| requests by | connections | processor time per request, us | wall time per request, us |", "|---|---|---|---|"]


def make_orders(client: Client, sandbox: Sandbox, count: int) -> list[int]:
    """That many orders that wait for a person, at the CA and in the journal: one by the client, the others like it."""
    sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", "--deadline", "0", status=11)
    body = next(r["body"] for r in sandbox.requests() if r["method"] == "POST")
    headers = {"login": "sandbox-admin", "customerUri": "sandbox", "Content-Type": "application/json",
               "password": (sandbox.dir / "admin-password.txt").read_text().strip()}
    trust = ssl.create_default_context(cafile=str(sandbox.dir / "tls-ca.pem"))
    connection = http.client.HTTPSConnection(sandbox.url.partition("//")[2], context=trust)
    with sqlite3.connect(client.state / "journal.db") as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM orders").fetchone())
        ids = [int(row["ca_order_id"])]
        columns = [name for name in row if name != "id"]
        insert = f"INSERT INTO orders ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})"
        for number in range(1, count):
            mark = "p11e-" + secrets.token_hex(16)
            connection.request("POST", "/api/ssl/v1/enroll", json.dumps({**body, "comments": mark}), headers)
            made = json.loads(connection.getresponse().read())["sslId"]
            ids.append(made)
            row.update(mark=mark, dedupe=f"bench-{number}", ca_order_id=str(made),
                       ca_state=json.dumps({**json.loads(row["ca_state"]), "id": made}))
            db.execute(insert, [row[name] for name in columns])
    return ids


def curl_command(path: Path, client: Client, sandbox: Sandbox, ids: list[int]) -> list[str]:
    lines = [f'cacert = "{sandbox.dir}/tls-ca.pem"', f'cert = "{sandbox.dir}/client.pem"', f'key = "{sandbox.dir}/client.key"',
             'header = "login: sandbox-admin"', 'header = "customerUri: sandbox"', "compressed", "silent", "parallel",
             f"parallel-max = {CONNECTIONS}"]
    for number in ids:
        lines += [f'url = "{sandbox.url}/private/api/ssl/v1/{number}?dateFormat=ISO_HMS"', 'output = "/dev/null"']
    config = path / "curl.conf"
    config.write_text("\n".join(lines) + "\n")
    return ["curl", "-q", "-K", str(config)]


def measure(sandbox: Sandbox, command: list[str], env: dict[str, str], expected: int) -> tuple[float, float, int]:
    """Processor and wall time per request in microseconds, and the number of connections."""
    sandbox.ask("DELETE", "/requests")
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    seen: list[dict[str, Any]] = [r for r in sandbox.requests() if "/ssl/v1/" in r["path"]]
    if len(seen) != expected or any(r["status"] != 200 for r in seen):
        raise SystemExit(f"{command[0]} made {len(seen)} requests, not {expected}, or some failed")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e6 * used / expected, 1e6 * wall / expected, len({r["connection"] for r in seen})


def table(path: Path, count: int, rounds: int) -> list[str]:
    sandbox = Sandbox(path / "sandbox")
    try:
        token = Token(path / "orders-hsm").init()
        token.make_key("EC:prime256v1", "0102", "mine")
        client = Client(path / "orders", token, sandbox)
        client.set("ca:sandbox", timeout="60s", connections=str(CONNECTIONS))
        ids = make_orders(client, sandbox, count)
        ways = {"p11enroll order wait --all": (client.command("order", "wait", "--all", "--deadline", "0"), client.full_env()),
                "curl --parallel": (curl_command(path, client, sandbox, ids), clean_env())}
        took: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (command, env) in ways.items():
                took[name].append(measure(sandbox, command, env, count))
    finally:
        sandbox.stop()
    return [*HEAD, *[f"| {name} | {max(row[2] for row in rows)} | {spread([row[0] for row in rows], 0)} | "
                     f"{spread([row[1] for row in rows], 0)} |" for name, rows in took.items()]]
