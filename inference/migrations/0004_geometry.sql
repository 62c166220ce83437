-- What the model's pictures are resized and cropped to, as JSON; "own" where its image processor does something
-- else, NULL where nobody knows: `geometry.to_json`.
ALTER TABLE runs ADD COLUMN geometry TEXT;
