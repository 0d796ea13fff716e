-- A view has at most three generations of rows: the one that is read (in public), one that is being built beside it, and the
-- one it replaced, which goes on following the log for a while. The engine chooses between them by the search path: what a
-- projection writes, its checkpoint and its parked events have the same names in each room.
CREATE SCHEMA view_building;
CREATE SCHEMA view_kept;
GRANT USAGE, CREATE ON SCHEMA view_building, view_kept TO cairn_app;

-- How fast a generation moves, and what last went wrong in it.
ALTER TABLE projection_checkpoints
    ADD COLUMN window_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN window_position bigint NOT NULL DEFAULT 0,
    ADD COLUMN events_per_second double precision NOT NULL DEFAULT 0,
    ADD COLUMN last_error text,
    ADD COLUMN last_error_at timestamptz;

-- The rate is taken over windows of at least two seconds.
CREATE FUNCTION projections_take_rate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    seconds double precision := extract(epoch FROM clock_timestamp() - OLD.window_at);
BEGIN
    IF NEW.position < OLD.window_position THEN
        NEW.window_at := clock_timestamp();
        NEW.window_position := NEW.position;
    ELSIF seconds >= 2 THEN
        NEW.events_per_second := (NEW.position - OLD.window_position) / seconds;
        NEW.window_at := clock_timestamp();
        NEW.window_position := NEW.position;
    END IF;
    RETURN NEW;
END
$$;

CREATE TABLE view_building.projection_checkpoints (LIKE public.projection_checkpoints INCLUDING ALL);
CREATE TABLE view_building.projection_parked (LIKE public.projection_parked INCLUDING ALL);
CREATE TABLE view_kept.projection_checkpoints (LIKE public.projection_checkpoints INCLUDING ALL);
CREATE TABLE view_kept.projection_parked (LIKE public.projection_parked INCLUDING ALL);
CREATE TRIGGER take_rate BEFORE UPDATE OF position ON public.projection_checkpoints
    FOR EACH ROW EXECUTE FUNCTION projections_take_rate();
CREATE TRIGGER take_rate BEFORE UPDATE OF position ON view_building.projection_checkpoints
    FOR EACH ROW EXECUTE FUNCTION projections_take_rate();
CREATE TRIGGER take_rate BEFORE UPDATE OF position ON view_kept.projection_checkpoints
    FOR EACH ROW EXECUTE FUNCTION projections_take_rate();
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA view_building, view_kept TO cairn_app;

-- What is known of a generation beside the live one.
CREATE TABLE projection_generations (
    projection text NOT NULL,
    room text NOT NULL CHECK (room IN ('building', 'kept')),
    version integer NOT NULL,
    -- The program that folds it; what another one began is not continued.
    made_by text NOT NULL,
    workers integer NOT NULL CHECK (workers > 0),
    started_at timestamptz NOT NULL DEFAULT now(),
    keep_until timestamptz,
    PRIMARY KEY (projection, room),
    CHECK ((room = 'kept') = (keep_until IS NOT NULL))
);

-- What people did to views, and why.
CREATE TABLE projection_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    verb text NOT NULL CHECK (verb IN ('rebuild', 'rollback', 'retry', 'skip')),
    projection text NOT NULL,
    reason text,
    detail jsonb NOT NULL
);
CREATE INDEX projection_actions_projection ON projection_actions (projection, id);

GRANT SELECT, INSERT, UPDATE, DELETE ON projection_generations TO cairn_app;
SELECT log_make_append_only('projection_actions');
