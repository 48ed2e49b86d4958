-- Lists are in the order of the start, by the server's clock, the newest first. Each filter has an
-- index in that order, so that a page reads about as many rows as it gives, and a span of time is
-- a part of the index. With a workflow the state is before the moment: a list of all states is
-- merged from those of each.

-- Rows of an older build that works beside this one get the moment of their insertion.
ALTER TABLE @.attributes ADD COLUMN created_at bigint NOT NULL DEFAULT @now;
UPDATE @.attributes a SET created_at = r.created_at FROM @.runs r WHERE r.execution = a.execution;
ALTER TABLE @.attributes DROP CONSTRAINT attributes_pkey;
ALTER TABLE @.attributes ADD PRIMARY KEY (name, value, created_at, execution);

DROP INDEX @.runs_workflow, @.runs_state, @.runs_created;
-- The conditions hold for all rows. A query that does not name one does not get that index, however
-- short the planner takes the way for that would filter by a workflow along it.
CREATE INDEX runs_created ON @.runs (created_at, execution) WHERE state > -2;
CREATE INDEX runs_state ON @.runs (state, created_at, execution) WHERE state > -1;
CREATE INDEX runs_workflow ON @.runs (workflow, state, created_at, execution);
