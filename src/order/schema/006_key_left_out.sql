-- What the token did not take when the order's key was made: it goes into the evidence of the key.
ALTER TABLE orders ADD COLUMN key_left_out TEXT; -- NULL: not known
