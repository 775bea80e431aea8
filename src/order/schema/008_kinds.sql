-- Devices and persons: their certificates have numbers of their own, so the kind belongs to what is unique.
CREATE TABLE certificates_of_kinds (
    id                 INTEGER PRIMARY KEY,
    ca                 TEXT    NOT NULL,     -- section of the configuration
    kind               TEXT    NOT NULL,     -- ssl, device or smime
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
    UNIQUE (ca, kind, ca_id)
);

INSERT INTO certificates_of_kinds (id, ca, kind, ca_id, serial, common_name, names, subject, status,
    product, issued, expires, revoked, requester, external_requester, comments, spki_hash, details_s,
    first_s, sync_id, gone_s)
SELECT id, ca, 'ssl', ca_id, serial, common_name, names, subject, status, product, issued, expires,
    revoked, requester, external_requester, comments, spki_hash, details_s, first_s, sync_id, gone_s
FROM certificates;

DROP TABLE certificates;
ALTER TABLE certificates_of_kinds RENAME TO certificates;

CREATE INDEX certificates_serial ON certificates (serial);
CREATE INDEX certificates_spki ON certificates (spki_hash) WHERE spki_hash IS NOT NULL;
CREATE INDEX certificates_common_name ON certificates (common_name);

ALTER TABLE syncs ADD COLUMN kind TEXT NOT NULL DEFAULT 'ssl';
DROP INDEX syncs_ca;
CREATE INDEX syncs_ca ON syncs (ca, kind, id);

-- Values of a device's subject and names that are sent beside the request: NAME=VALUE;NAME=VALUE.
ALTER TABLE orders ADD COLUMN optional_fields TEXT;
