-- What a person says of a run, and whether it lies in the bin.
ALTER TABLE runs ADD COLUMN name TEXT;
ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE runs ADD COLUMN favourite INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN deleted_at REAL;
ALTER TABLE runs ADD COLUMN imported_at REAL;
CREATE INDEX runs_kept ON runs (deleted_at, seq);

-- Settings and figures as columns, so that runs can be found and sorted by them; computed when asked for.
ALTER TABLE runs ADD COLUMN strategy TEXT AS (config ->> 'strategy');
ALTER TABLE runs ADD COLUMN model TEXT AS (config ->> 'model');
ALTER TABLE runs ADD COLUMN dataset TEXT AS (config ->> 'dataset');
ALTER TABLE runs ADD COLUMN images_per_s REAL AS (metrics ->> 'images_per_s');

-- An engine's runs share one machine, and its description is as long as everything else about a short run.
CREATE TABLE machines (
    id INTEGER PRIMARY KEY,
    hardware TEXT NOT NULL UNIQUE
);
INSERT OR IGNORE INTO machines (hardware) SELECT hardware FROM runs WHERE hardware IS NOT NULL;
ALTER TABLE runs ADD COLUMN machine INTEGER REFERENCES machines (id);
UPDATE runs SET machine = (SELECT id FROM machines WHERE machines.hardware = runs.hardware);
ALTER TABLE runs DROP COLUMN hardware;

UPDATE runs SET plan = packed_text(plan) WHERE plan IS NOT NULL;

-- What many predictions share is kept once: ids of images; labels and names of workers.
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    image_id TEXT NOT NULL UNIQUE
);
INSERT OR IGNORE INTO images (image_id) SELECT image_id FROM predictions;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
INSERT OR IGNORE INTO texts (text) SELECT label FROM predictions WHERE label IS NOT NULL;
INSERT OR IGNORE INTO texts (text) SELECT truth FROM predictions WHERE truth IS NOT NULL;
INSERT OR IGNORE INTO texts (text) SELECT worker FROM predictions;
INSERT OR IGNORE INTO texts (text) SELECT each.value ->> 0 FROM predictions, json_each(predictions.top) AS each;

CREATE TABLE answers (
    run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    image INTEGER NOT NULL REFERENCES images (id),
    label INTEGER REFERENCES texts (id),
    score REAL,
    -- NULL where there is an answer.
    reason TEXT,
    truth INTEGER REFERENCES texts (id),
    -- 1 right, 0 wrong, NULL where nothing tells: SQL cannot derive it from the columns.
    correct INTEGER,
    -- The most probable labels, as ids of texts, with their scores: see `answers.packed_top`.
    top BLOB NOT NULL,
    done_us INTEGER NOT NULL,
    worker INTEGER NOT NULL REFERENCES texts (id),
    PRIMARY KEY (run_seq, position)
) WITHOUT ROWID;
INSERT INTO answers
SELECT run_seq, position, images.id, label.id, score, CASE status WHEN 'ok' THEN NULL ELSE COALESCE(reason, '') END,
    truth.id, is_right(predictions.label, predictions.truth),
    packed_top(label.id, score, (
        SELECT json_group_array(json_array(id, probability)) FROM (
            SELECT name.id, each.value ->> 1 AS probability
            FROM json_each(predictions.top) AS each JOIN texts AS name ON name.text = each.value ->> 0
            ORDER BY each.key
        )
    )),
    CAST(ROUND(done_s * 1e6) AS INTEGER), worker.id
FROM predictions
JOIN images ON images.image_id = predictions.image_id
JOIN texts AS worker ON worker.text = predictions.worker
LEFT JOIN texts AS label ON label.text = predictions.label
LEFT JOIN texts AS truth ON truth.text = predictions.truth;
DROP TABLE predictions;
ALTER TABLE answers RENAME TO predictions;
