-- The first choices of an ensemble's models, as `answers.packed_top` writes them; NULL for a model by itself.
ALTER TABLE predictions ADD COLUMN votes BLOB;
