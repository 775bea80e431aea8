-- An order that the CA may not have got: what was heard of it, and whether it was sent again.
ALTER TABLE orders ADD COLUMN absent_since_s INTEGER NOT NULL DEFAULT 0; -- the first look that found nothing
ALTER TABLE orders ADD COLUMN absent_looks INTEGER NOT NULL DEFAULT 0;   -- how many there were since
ALTER TABLE orders ADD COLUMN sent_again INTEGER NOT NULL DEFAULT 0;     -- once it is, a person decides
