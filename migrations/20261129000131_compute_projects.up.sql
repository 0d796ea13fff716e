-- The project that a rental is in. The view needs no new fold: nothing was in one before today.
ALTER TABLE compute_allocations ADD COLUMN project_id text;
CREATE INDEX compute_allocations_project ON compute_allocations (project_id, position) WHERE project_id IS NOT NULL;
