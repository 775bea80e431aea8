-- Who approved or declined an order here, before it was sent, and what exactly.
ALTER TABLE orders ADD COLUMN requester TEXT;             -- the system users who ordered, commas between
ALTER TABLE orders ADD COLUMN validation TEXT;            -- EV, if the product says so
ALTER TABLE orders ADD COLUMN awaiting_s INTEGER NOT NULL DEFAULT 0; -- since when it awaits approval

CREATE TABLE approvals (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id  INTEGER NOT NULL REFERENCES orders (id),
    at_s      INTEGER NOT NULL,
    approve   INTEGER NOT NULL,  -- 0: declined
    who       TEXT    NOT NULL,  -- for people
    user_name TEXT,              -- a system user; NULL: there is a signature
    text      TEXT    NOT NULL,  -- what was signed
    cert      BLOB,
    signature BLOB,
    message   TEXT
);

CREATE INDEX approvals_order ON approvals (order_id, id);
