DROP INDEX compute_allocations_project;
ALTER TABLE compute_allocations DROP COLUMN project_id;
