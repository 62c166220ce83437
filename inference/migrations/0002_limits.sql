-- What this or another machine could do at best, by what it was measured for; kept until someone asks again.
CREATE TABLE limits (
    fingerprint TEXT NOT NULL,
    model TEXT NOT NULL,
    dataset TEXT NOT NULL,
    dtype TEXT NOT NULL,
    requested INTEGER NOT NULL DEFAULT 0,
    measured TEXT,
    problem TEXT,
    PRIMARY KEY (fingerprint, model, dataset, dtype)
) WITHOUT ROWID;
