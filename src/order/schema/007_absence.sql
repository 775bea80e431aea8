-- An order that the CA may not have got: looks that found nothing of it, and whether it was sent again.
ALTER TABLE orders ADD COLUMN absent_looks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN absent_last_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN absent_for_s INTEGER NOT NULL DEFAULT 0; -- between the looks, as far as it counts
ALTER TABLE orders ADD COLUMN sent_again INTEGER NOT NULL DEFAULT 0;   -- once it is, a person decides
