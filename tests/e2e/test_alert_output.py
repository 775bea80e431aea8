"""Output of the alert command as recorded, with the changing parts masked."""

from __future__ import annotations

import json
import re
from pathlib import Path

from p11e import Client, Sandbox
from test_output import compare, masked, shape


def tidy(text: str, client: Client) -> str:
    text = re.sub(r"\b([0-9A-F]{2}:){7,}[0-9A-F]{2}", "SERIAL", masked(text, client))
    text = re.sub(r"/usr/lib/\S*/libsofthsm2\.so", "MODULE", text)
    text = re.sub(r"left=\d+s", "left=Ns", text)
    return re.sub(r"\b(in|for|since) \d+ (day|second)s?\b", r"\1 N \2s", text)


def test_json_and_what_people_see(client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    program = tmp_path / "sendmail"
    program.write_text("#!/bin/sh\necho 'queue is full' >&2\nexit 75\n")
    program.chmod(0o755)
    texts = [f"$ p11enroll alert\n{client.run('alert').stdout}"]
    for days, name in ((184, "a.alert.example"), (195, "b.alert.example")):
        sandbox.set(backdate_days=days)
        client.run("enroll", "--name", name)
    sandbox.set(backdate_days=0, approval="manual")
    client.run("enroll", "--name", "c.output.example", "--deadline", "0", status=11)
    client.set("p11enroll", alert_waiting="0s, 7d", alert_metrics=str(client.dir / "p11enroll.prom"))
    client.set("token:gone", module=str(client.token.module), uri="pkcs11:token=gone",
               pin_source=f"file:{client.token.pin_file}")
    for args in (["--dry-run"], []):
        client.set("p11enroll", alert_mail="ops@example.org" if not args else None, alert_sendmail=str(program))
        done = client.run("alert", *args, status=2 if args else 3)
        texts.append(f"$ p11enroll {' '.join(['alert', *args])}\n{done.stdout}{done.stderr}".replace(str(program), "SENDMAIL"))
    compare("human/alert.txt", tidy("\n".join(texts), client))
    compare("json/alert.json", json.dumps(shape(client.json("alert", status=3)), indent=1) + "\n")
    compare("json/alert-failed.json", json.dumps(shape(client.json("alert", "--levels", "x", status=3)), indent=1) + "\n")
