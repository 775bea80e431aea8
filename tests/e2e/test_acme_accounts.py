"""ACME accounts at the CA: made once, their pair kept from the terminal, their domains."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from p11e import Client


@pytest.fixture(autouse=True)
def no_accounts(client: Client) -> None:
    assert client.sandbox is not None
    (client.sandbox.dir / "acme.json").write_text(json.dumps({"next": 100, "accounts": []}))


def create(client: Client, name: str = "web", *args: str) -> int:
    return int(client.json("account", "acme", "create", name, "--server", "Sandbox OV", *args)["account"])


def creations(client: Client) -> int:
    assert client.sandbox is not None
    return sum(r["method"] == "POST" and str(r["path"]).endswith("/acme/v2/account") for r in client.sandbox.requests())


def at_the_ca(client: Client) -> list[dict[str, object]]:
    assert client.sandbox is not None
    return json.loads((client.sandbox.dir / "acme.json").read_text())["accounts"]


def test_an_account_is_made_and_its_pair_written_for_its_owner_alone(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "eab"
    done = client.run("account", "acme", "create", "web", "--server", "Sandbox OV", "--eab-out", str(path))
    made = at_the_ca(client)[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"EAB_KID='{made['macId']}'\nEAB_HMAC_KEY='{made['macKey']}'\n" in path.read_text()
    assert str(made["macKey"]) not in done.stdout + done.stderr and str(made["macId"]) in done.stdout
    assert (made["name"], made["acmeServer"], made["organizationId"]) == ("web", "Sandbox OV", 103)


# --- the pair in the configuration

def config_of(client: Client) -> Path:
    """The file as the next command reads it, with a comment and a section for ACME in it."""
    client.write()
    path = client.dir / "farm.conf"
    path.write_text(client.conf.read_text() + "\n# for the web farm\n[ca:farm]\ntype = acme\n")
    client.conf = path
    client.write = lambda: None  # type: ignore[method-assign]  # it would be as before
    return path


def to_config(client: Client, number: str, *args: str, status: int = 0) -> Any:
    return client.run("account", "acme", "show", number, "--ca", "sandbox", "--eab-config", "farm", *args, status=status)


def test_the_pair_goes_into_the_configuration_and_its_key_into_a_file_beside_it(client: Client) -> None:
    number = str(create(client))
    conf, pair = config_of(client), at_the_ca(client)[0]
    conf.chmod(0o640)
    before = conf.read_text()
    done = to_config(client, number, "--json")
    key = client.dir / f"farm-{number}.eab-key"
    assert conf.read_text() == f"{before}eab_kid = {pair['macId']}\neab_key_source = file:{key}\n"
    assert key.read_text() == f"{pair['macKey']}\n" and stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(conf.stat().st_mode) == 0o640 and str(pair["macKey"]) not in done.stdout + done.stderr
    assert (json.loads(done.stdout)["eab_section"], json.loads(done.stdout)["eab_key_file"]) == ("ca:farm", str(key))
    client.run("account", "acme", "list", "--ca", "sandbox")  # the file is still one


def test_create_writes_the_pair_as_well(client: Client) -> None:
    conf = config_of(client)
    number = create(client, "web", "--ca", "sandbox", "--eab-config", "farm")
    assert f"eab_kid = {at_the_ca(client)[0]['macId']}\n" in conf.read_text()
    assert (client.dir / f"farm-{number}.eab-key").exists()


def test_a_pair_that_is_there_is_replaced_only_with_a_yes(client: Client) -> None:
    first, second = str(create(client)), str(create(client, "other"))
    conf = config_of(client)
    to_config(client, first)
    before = conf.read_text()
    done = to_config(client, second, status=27)
    assert "[ca:farm] has the setting 'eab_key_source' already" in done.stderr and "with --yes it is replaced" in done.stderr
    assert conf.read_text() == before and not (client.dir / f"farm-{second}.eab-key").exists()
    to_config(client, second, "--yes")
    pair = at_the_ca(client)[1]
    assert re.findall(r"^eab_.*$", conf.read_text(), re.MULTILINE) == [
        f"eab_kid = {pair['macId']}", f"eab_key_source = file:{client.dir}/farm-{second}.eab-key"]
    to_config(client, second, "--yes")  # the same again


@pytest.mark.parametrize("trouble", ["no section", "a pair", "a file"])
def test_what_stands_against_it_is_told_before_an_account_is_made(client: Client, trouble: str) -> None:
    conf = config_of(client)
    if trouble == "a pair":
        conf.write_text(conf.read_text() + "eab_kid = mine\n")
    before = conf.read_text()
    where = "nowhere" if trouble == "no section" else "farm"
    args = ["account", "acme", "create", "web", "--ca", "sandbox", "--server", "Sandbox OV", "--eab-config", where]
    if trouble == "a file":  # of a number that only the CA knows: what is made is named
        (client.dir / "farm-100.eab-key").write_text("mine")
        done = client.run(*args, status=27)
        assert "ACME account 100 is made" in done.stderr and "farm-100.eab-key is there already" in done.stderr
        assert (client.dir / "farm-100.eab-key").read_text() == "mine"
    else:
        done = client.run(*args, status={"no section": 3, "a pair": 27}[trouble])
        assert "--eab-config" in done.stderr and creations(client) == 0
    assert conf.read_text() == before


def test_only_what_gets_the_pair_writes_it(client: Client) -> None:
    for option in (("--eab-out", "x"), ("--eab-config", "sandbox")):
        done = client.run("account", "acme", "list", *option, status=2)
        assert "the pair is written by 'create' and 'show'" in done.stderr


def test_the_key_is_shown_only_when_it_is_asked_for(client: Client, tmp_path: Path) -> None:
    number = str(create(client))
    key = str(at_the_ca(client)[0]["macKey"])
    log = tmp_path / "log"
    plain = client.run("account", "acme", "show", number, "--json", "--log-level", "trace", "--log-file", str(log))
    assert key not in plain.stdout + plain.stderr + log.read_text() and "mac_key" not in json.loads(plain.stdout)
    assert client.json("account", "acme", "show", number, "--show-secret")["mac_key"] == key


def test_a_file_that_is_there_is_not_written_over(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "eab"
    path.write_text("mine")
    done = client.run("account", "acme", "create", "web", "--server", "Sandbox OV", "--eab-out", str(path), status=27)
    assert "is there already" in done.stderr and path.read_text() == "mine" and creations(client) == 0


def test_what_is_made_is_named_although_it_cannot_be_shown(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/acme/v2/account/100$", times=3, fail_status=503)
    done = client.run("account", "acme", "create", "web", "--server", "Sandbox OV", status=45)
    assert "ACME account 100 is made" in done.stderr and creations(client) == 1


def test_accounts_are_listed_page_by_page(client: Client) -> None:
    assert client.sandbox is not None
    first = {"name": "n", "acmeServer": "Sandbox DV", "organizationId": 103, "status": "valid", "certValidationType": "DV",
             "macId": "k", "macKey": "s", "domains": [], "clients": []}
    rows = [{**first, "id": 100 + i, "name": f"n{i}"} for i in range(401)]
    (client.sandbox.dir / "acme.json").write_text(json.dumps({"next": 1000, "accounts": rows}))
    found = client.json("account", "acme", "list")["accounts"]
    assert [row["account"] for row in found] == list(range(100, 501))
    only = client.json("account", "acme", "list", "--name", "n7")["accounts"]
    assert [row["account"] for row in only] == [107]


def test_a_name_that_is_taken_is_not_made_again(client: Client) -> None:
    create(client)
    done = client.run("account", "acme", "create", "web", "--server", "Sandbox OV", status=27)
    assert "has the ACME account 100 with the name 'web' already" in done.stderr and creations(client) == 1


@pytest.mark.parametrize("fault", [{"cut": "before-reply", "fault_when": "after"}, {"fail_status": 504, "fault_when": "after"}])
def test_a_lost_answer_is_looked_up_and_not_sent_again(client: Client, fault: dict[str, object]) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/acme/v2/account$", **fault)
    assert create(client) == 100 and creations(client) == 1 and len(at_the_ca(client)) == 1


def test_a_lost_request_is_ambiguous_and_not_sent_again(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/acme/v2/account$", cut="before-reply", fault_when="before")
    done = client.run("account", "acme", "create", "web", "--server", "Sandbox OV", status=14)
    assert "it is not known whether the CA made the ACME account" in done.stderr
    assert creations(client) == 1 and at_the_ca(client) == []


def test_a_refusal_is_told(client: Client) -> None:
    done = client.run("account", "acme", "create", "web", "--server", "nowhere", status=44)
    assert "making an ACME account: POST" in done.stderr and "(code -1601)" in done.stderr


def test_domains_are_added_listed_and_removed(client: Client) -> None:
    number = str(create(client))
    added = client.json("account", "acme", "add-domains", number, "a.example.org", "b.example.org")
    assert [d["domain"] for d in added["domains"]] == ["a.example.org", "b.example.org"]
    client.run("account", "acme", "remove-domains", number, "a.example.org")
    assert [d["domain"] for d in client.json("account", "acme", "domains", number)["domains"]] == ["b.example.org"]


def test_domains_that_the_ca_left_are_a_failure_that_names_them(client: Client) -> None:
    number = str(create(client))
    done = client.run("account", "acme", "add-domains", number, "a.example.org", "nonsense", status=44)
    assert "the CA did not add: nonsense" in done.stderr
    assert at_the_ca(client)[0]["domains"] == ["a.example.org"]
    assert "the CA did not remove: x.example.org" in client.run("account", "acme", "remove-domains", number, "x.example.org",
                                                                status=44).stderr


def test_rename(client: Client) -> None:
    number = str(create(client))
    assert client.json("account", "acme", "rename", number, "shop")["name"] == "shop"


def test_delete_wants_a_yes(client: Client) -> None:
    number = str(create(client))
    done = client.run("account", "acme", "delete", number, status=2)
    assert "nothing was deleted" in done.stderr and "web" in done.stdout and len(at_the_ca(client)) == 1
    assert client.json("account", "acme", "delete", number, "--yes")["deleted"] is True and at_the_ca(client) == []
    assert client.run("account", "acme", "delete", number, "--yes", status=15)


def test_a_lost_answer_of_delete_is_looked_up(client: Client) -> None:
    assert client.sandbox is not None
    number = str(create(client))
    client.sandbox.once("DELETE", "/acme/v2/account", cut="before-reply", fault_when="after")
    assert client.json("account", "acme", "delete", number, "--yes")["deleted"] is True


def test_clients_are_deactivated_with_a_yes(client: Client) -> None:
    assert client.sandbox is not None
    number = str(create(client))
    path = client.sandbox.dir / "acme.json"
    state = json.loads(path.read_text())
    state["accounts"][0]["clients"] = [{"id": 7, "accountId": "a7", "userAgent": "certbot/2", "ipAddress": "192.0.2.1",
                                        "status": "valid", "lastActivity": "2026-11-01T00:00:00.000Z", "contacts": "mailto:a@b"}]
    path.write_text(json.dumps(state))
    assert client.json("account", "acme", "clients", number)["clients"][0]["user_agent"] == "certbot/2"
    assert "with --yes" in client.run("account", "acme", "deactivate", number, "7", status=2).stderr
    assert client.json("account", "acme", "deactivate", number, "7", "--yes")["deactivated"] is True
    assert client.json("account", "acme", "clients", number)["clients"][0]["status"] == "deactivated"


@pytest.mark.parametrize(("args", "says"), [
    (["mood"], "'mood' is none of: list, create"), (["create"], "account acme create takes NAME"),
    (["show"], "account acme show takes ACCOUNT"), (["show", "x"], "'x' is not the number of an ACME account"),
    (["list", "1"], "account acme list takes nothing more"), (["add-domains", "1"], "takes ACCOUNT DOMAIN ..."),
    (["create", "web"], "--server is missing"), (["create", "", "--server", "s"], "1 to 128 characters"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    assert says in client.run("account", "acme", *args, status=2).stderr and creations(client) == 0


def test_what_people_see(client: Client) -> None:
    create(client)
    shown = client.run("account", "acme", "show", "100").stdout
    assert re.search(r"^Key identifier \(EAB\): +\S+$", shown, re.MULTILINE) and "HMAC" not in shown
