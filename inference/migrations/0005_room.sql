-- A table without row ids keeps 1,000 bytes of a row on its page and puts the rest on a page of its own, and a run's
-- spans are twice that: with row ids they take half the room.
ALTER TABLE span_chunks RENAME TO span_chunks_before;
CREATE TABLE span_chunks (
    run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    spans BLOB NOT NULL,
    PRIMARY KEY (run_seq, chunk)
);
INSERT INTO span_chunks SELECT run_seq, chunk, spans FROM span_chunks_before ORDER BY run_seq, chunk;
DROP TABLE span_chunks_before;
