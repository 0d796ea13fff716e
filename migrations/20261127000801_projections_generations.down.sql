DROP TABLE projection_actions;
DROP TABLE projection_generations;
DROP SCHEMA view_building CASCADE;
DROP SCHEMA view_kept CASCADE;
DROP TRIGGER take_rate ON projection_checkpoints;
DROP FUNCTION projections_take_rate();
ALTER TABLE projection_checkpoints
    DROP COLUMN window_at,
    DROP COLUMN window_position,
    DROP COLUMN events_per_second,
    DROP COLUMN last_error,
    DROP COLUMN last_error_at;
