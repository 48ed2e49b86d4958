-- The journal's key is the fence, and ordinary commits leave "live" alone: it no longer says where
-- a journal ends, and its pages need no room for updates with each step. A build that looks for the
-- head there cannot work beside one that does not keep it.
ALTER TABLE @.live DROP COLUMN seq;
ALTER TABLE @.live SET (fillfactor = 80);

-- Most runs are the newest of their id, and are found by that index; only the others need another
-- one.
DROP INDEX @.runs_id;
CREATE INDEX runs_id ON @.runs (id, execution) WHERE NOT newest;
