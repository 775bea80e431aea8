-- Alerts: what ends soon is found without reading what does not, and what was sent is remembered.
CREATE INDEX orders_not_after ON orders (not_after_s);

-- The day on which a certificate at the CA ends: the CA writes 2027-05-09T..., or 05/09/2027.
ALTER TABLE certificates ADD COLUMN expires_s INTEGER GENERATED ALWAYS AS (CAST(strftime('%s',
    CASE WHEN expires GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN substr(expires, 1, 10)
         WHEN expires GLOB '[0-9][0-9]/[0-9][0-9]/[0-9][0-9][0-9][0-9]*'
         THEN substr(expires, 7, 4) || '-' || substr(expires, 1, 2) || '-' || substr(expires, 4, 2)
    END) AS INTEGER)) VIRTUAL;

CREATE INDEX certificates_expires ON certificates (expires_s) WHERE gone_s = 0;

-- What the CA's words mean ("Enrolled - Pending Download" is issued): as in ca/scm/parse.c.
ALTER TABLE certificates ADD COLUMN status_word TEXT GENERATED ALWAYS AS (
    lower(replace(replace(replace(status, ' ', ''), '-', ''), '_', ''))) VIRTUAL;
ALTER TABLE certificates ADD COLUMN is_issued INTEGER GENERATED ALWAYS AS (
    coalesce(status_word IN ('issued', 'downloaded', 'enrolledpendingdownload'), 0)) VIRTUAL;
ALTER TABLE certificates ADD COLUMN is_over INTEGER GENERATED ALWAYS AS (
    coalesce(status_word IN ('revoked', 'replaced', 'declined', 'rejected', 'invalid', 'unmanaged',
                             'notenrolled'), 0)) VIRTUAL;

-- Those of which nobody knows when they end.
CREATE INDEX certificates_undated ON certificates (ca)
    WHERE gone_s = 0 AND expires_s IS NULL AND is_issued = 1;

CREATE TABLE alerts (
    subject TEXT    NOT NULL,   -- certificate or order
    sink    TEXT    NOT NULL,   -- mail or webhook
    urgency INTEGER NOT NULL,   -- of the level that was sent; the greater the worse
    sent_s  INTEGER NOT NULL,
    PRIMARY KEY (subject, sink)
) WITHOUT ROWID;
