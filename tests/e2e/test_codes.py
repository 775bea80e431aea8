"""The published error codes as people meet them: what was asked, what the CA said, and what to do.

tests/unit/src/ca/scm/test_codes.c walks all codes; here are some of each class, through TLS.
"""

from __future__ import annotations

import pytest
from p11e import Client

# code: exit status of enroll, the end of the sentence
ORDERS = {
    -16: (42, "check 'login', 'customer_uri'"),
    -970: (42, "check 'login', 'customer_uri'"),
    -410: (42, "the last part of the portal's address"),
    -3: (43, "has to give the login that right"),
    -36: (44, "choose one of the product's terms"),
    -62: (44, "correct 'custom_fields'"),
    -107: (44, "validate the domain"),
    -843: (44, "the organization has to be validated"),
    -1010: (44, "delegated to the organization"),
    -1021: (44, "switch the Web/REST API on"),
    -140: (45, "try again later"),
    -195: (45, "try again later"),
    -1: (14, "the CA's support"),
    -2: (14, "the CA's support"),
    -129: (14, "the CA's support"),
    -1400: (14, "try again later"),
}


@pytest.mark.parametrize("code", ORDERS)
def test_an_order_that_is_refused_says_what_to_do(client: Client, code: int) -> None:
    assert client.sandbox is not None
    status, remedy = ORDERS[code]
    client.sandbox.once("POST", "/ssl/v1/enroll", times=9, fail_status=400, fail_code=code)
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=status)
    assert "enroll: POST /private/api/ssl/v1/enroll: HTTP 400: " in done.stderr
    assert f"(code {code}); " in done.stderr and remedy in done.stderr
    assert client.sandbox.posts() == 1, "it is sent once, whatever the code"


def test_a_code_that_nobody_published_is_final(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", fail_status=400, fail_code=-77777)
    done = client.run("enroll", "--name", "www.example.org", status=44)
    assert "HTTP 400: Refused (code -77777)" in done.stderr


def test_a_passing_refusal_of_a_question_is_asked_again(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/ssl/v1/types", times=1, fail_status=400, fail_code=-195)
    client.run("products")
    assert [r["code"] for r in client.sandbox.requests() if r["path"].endswith("/types")] == [-195, None]


def test_a_final_refusal_of_a_question_is_not_asked_again(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/ssl/v1/types", times=9, fail_status=400, fail_code=-1021)
    done = client.run("products", status=44)
    assert "products: GET /private/api/ssl/v1/types" in done.stderr and "switch the Web/REST API on" in done.stderr
    assert len([r for r in client.sandbox.requests() if r["path"].endswith("/types")]) == 1
