-- Runs in order of arrival: `seq` is the queue.
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    config TEXT NOT NULL,
    comparison_id TEXT,
    request_key TEXT,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    engine_id TEXT,
    hardware TEXT,
    progress TEXT,
    operators TEXT NOT NULL DEFAULT '[]',
    messages TEXT NOT NULL DEFAULT '[]',
    plan TEXT,
    error TEXT,
    -- Derived from spans and predictions in the transaction that finishes the run, so that ten thousand runs
    -- can be listed and sorted without reading them all.
    metrics TEXT
);
CREATE INDEX runs_by_state ON runs (state, seq);
CREATE INDEX runs_by_comparison ON runs (comparison_id);
CREATE INDEX runs_by_request ON runs (request_key);

-- Spans arrive in chunks while a run is live; each is compressed JSON.
CREATE TABLE span_chunks (
    run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    spans BLOB NOT NULL,
    PRIMARY KEY (run_seq, chunk)
) WITHOUT ROWID;

CREATE TABLE predictions (
    run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    image_id TEXT NOT NULL,
    label TEXT,
    score REAL,
    status TEXT NOT NULL,
    reason TEXT,
    truth TEXT,
    top TEXT NOT NULL,
    done_s REAL NOT NULL,
    worker TEXT NOT NULL,
    PRIMARY KEY (run_seq, position)
) WITHOUT ROWID;

-- The one engine of this home folder, as it last reported.
CREATE TABLE engine (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    engine_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started_at REAL NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    heartbeat_at REAL NOT NULL,
    hardware TEXT,
    dashboard_url TEXT,
    dashboard_token TEXT
);
