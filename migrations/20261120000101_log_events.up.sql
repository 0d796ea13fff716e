-- The truth. A superset of postgres-es 0.5's table: it reads the first seven columns.
CREATE TABLE events (
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    sequence       bigint      NOT NULL CHECK (sequence >= 1),
    event_type     text        NOT NULL,
    event_version  text        NOT NULL,
    payload        json        NOT NULL,
    metadata       json        NOT NULL,
    -- Place in the log: dense, gapless, in commit order.
    position       bigint      NOT NULL CHECK (position >= 1),
    recorded_at    timestamptz NOT NULL,
    command_id     text        NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence),
    CONSTRAINT events_position_unique UNIQUE (position)
);

-- One row: locked by each append, so positions are handed out in commit order.
CREATE TABLE log_head (
    id          boolean     PRIMARY KEY DEFAULT true CHECK (id),
    position    bigint      NOT NULL CHECK (position >= 0),
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log_head (position, recorded_at) VALUES (0, '-infinity');

-- The first outcome of every command id.
CREATE TABLE commands (
    command_id     text        COLLATE "C" PRIMARY KEY,
    body_hash      bytea       NOT NULL CHECK (length(body_hash) = 32),
    outcome        json        NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    sequence       bigint      NOT NULL,
    -- Head of the log right after the command.
    position       bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL
);

-- A cache of states, as postgres-es has it, one per stream. Never the truth.
CREATE TABLE snapshots (
    aggregate_type   text   NOT NULL,
    aggregate_id     text   NOT NULL,
    last_sequence    bigint NOT NULL CHECK (last_sequence >= 0),
    current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
    payload          json   NOT NULL,
    -- What wrote it; a snapshot of another version of the code is not used.
    made_by          text   NOT NULL DEFAULT '',
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence),
    CONSTRAINT snapshots_one_per_stream UNIQUE (aggregate_type, aggregate_id)
);

SELECT log_make_append_only('events');
SELECT log_make_append_only('commands');

CREATE FUNCTION log_head_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION '% of log_head is refused', TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.position < OLD.position THEN
        RAISE EXCEPTION 'the head of the log only grows' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER only_grows BEFORE UPDATE ON log_head FOR EACH ROW EXECUTE FUNCTION log_head_only_grows();
CREATE TRIGGER one_row BEFORE DELETE OR TRUNCATE ON log_head
    FOR EACH STATEMENT EXECUTE FUNCTION log_head_only_grows();
ALTER TABLE log_head ENABLE ALWAYS TRIGGER only_grows;
ALTER TABLE log_head ENABLE ALWAYS TRIGGER one_row;
REVOKE INSERT, DELETE, TRUNCATE ON log_head FROM cairn_app;
