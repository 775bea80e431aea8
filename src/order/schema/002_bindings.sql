-- What was on a token before a certificate was bound or removed, so that it can be put back.
CREATE TABLE bindings (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at_s      INTEGER NOT NULL,
    who       TEXT    NOT NULL,
    key_uri   TEXT    NOT NULL,
    spki_hash BLOB    NOT NULL,
    cert      BLOB,             -- what was bound, DER; NULL: something was removed
    undone_s  INTEGER NOT NULL  -- 0: not undone
);

CREATE INDEX bindings_key ON bindings (spki_hash, id);

CREATE TABLE replaced (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    binding_id INTEGER NOT NULL REFERENCES bindings (id),
    label      TEXT    NOT NULL,
    cert       BLOB    NOT NULL
);

CREATE INDEX replaced_binding ON replaced (binding_id, id);
