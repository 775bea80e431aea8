-- Orders and what happened to them. No secret is ever written here.
CREATE TABLE orders (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    mark               TEXT    NOT NULL UNIQUE,
    state              TEXT    NOT NULL,
    open               INTEGER NOT NULL,
    created_s          INTEGER NOT NULL,
    updated_s          INTEGER NOT NULL,
    dedupe             TEXT    NOT NULL,
    ca                 TEXT,
    profile            TEXT,
    token              TEXT,
    names              TEXT    NOT NULL,
    subject            TEXT,
    product_id         INTEGER NOT NULL,
    product            TEXT,
    term_days          INTEGER NOT NULL,
    comments           TEXT,
    external_requester TEXT,
    custom_fields      TEXT,
    send_names         INTEGER NOT NULL,
    key_type           TEXT,
    key_uri            TEXT,
    key_label          TEXT,
    key_id             BLOB,
    key_is_ours        INTEGER NOT NULL,
    spki_hash          BLOB,
    csr_pem            TEXT,
    ca_state           TEXT,
    ca_order_id        TEXT,
    ca_text            TEXT,
    answer_pem         TEXT,
    cert_pem           TEXT,
    chain_pem          TEXT,
    serial             TEXT,
    not_after_s        INTEGER NOT NULL,
    cert_uri           TEXT,
    last_error         TEXT
);

CREATE INDEX orders_dedupe ON orders (dedupe);
CREATE INDEX orders_open ON orders (id) WHERE open = 1;
CREATE INDEX orders_ca_order ON orders (ca_order_id);

CREATE TABLE events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    at_s     INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    text     TEXT    NOT NULL
);

CREATE INDEX events_order ON events (order_id, id);
