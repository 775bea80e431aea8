-- What an account sees at its CA, as it was when it was last read.
CREATE TABLE certificates (
    id                 INTEGER PRIMARY KEY,
    ca                 TEXT    NOT NULL,     -- section of the configuration
    ca_id              INTEGER NOT NULL,     -- the CA's number
    serial             TEXT,                 -- AB:CD:...; NULL: not issued yet
    common_name        TEXT,
    names              TEXT,                 -- comma-separated
    subject            TEXT,
    status             TEXT,                 -- the CA's word; NULL: not known
    product            TEXT,
    issued             TEXT,
    expires            TEXT,
    revoked            TEXT,
    requester          TEXT,
    external_requester TEXT,
    comments           TEXT,
    spki_hash          BLOB,                 -- of the key, once it is known
    details_s          INTEGER NOT NULL,     -- when the details were read; 0: never
    first_s            INTEGER NOT NULL,     -- when it was first seen
    sync_id            INTEGER NOT NULL,     -- the last reading that saw it
    gone_s             INTEGER NOT NULL,     -- since when the CA does not have it; 0: it has
    UNIQUE (ca, ca_id)
);

CREATE INDEX certificates_serial ON certificates (serial);
CREATE INDEX certificates_spki ON certificates (spki_hash) WHERE spki_hash IS NOT NULL;
CREATE INDEX certificates_common_name ON certificates (common_name);

CREATE TABLE certificate_names (
    name           TEXT    NOT NULL,         -- lower case
    certificate_id INTEGER NOT NULL,
    PRIMARY KEY (name, certificate_id)
) WITHOUT ROWID;

-- Each reading; one that was interrupted is gone on with.
CREATE TABLE syncs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    ca        TEXT    NOT NULL,
    source    TEXT    NOT NULL,              -- list or report
    started_s INTEGER NOT NULL,
    ended_s   INTEGER NOT NULL,              -- 0: it was not finished
    stage     INTEGER NOT NULL,              -- which of its lists is being read
    position  INTEGER NOT NULL               -- and how far
);

CREATE INDEX syncs_ca ON syncs (ca, id);
