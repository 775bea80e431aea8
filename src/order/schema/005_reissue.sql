-- Kinds of certificates, and orders that renew or replace one.
ALTER TABLE orders ADD COLUMN kind TEXT;          -- NULL: TLS
ALTER TABLE orders ADD COLUMN person TEXT;
ALTER TABLE orders ADD COLUMN origin TEXT;        -- NULL: enrolled
ALTER TABLE orders ADD COLUMN parent TEXT;        -- number at the CA
ALTER TABLE orders ADD COLUMN parent_serial TEXT;
ALTER TABLE orders ADD COLUMN reason TEXT;

CREATE INDEX orders_parent ON orders (parent) WHERE parent IS NOT NULL;
