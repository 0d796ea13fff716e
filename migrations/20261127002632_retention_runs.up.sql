-- What was removed because its time was over. A run and what it removed commit together.
CREATE TABLE retention_runs (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ran_at  timestamptz NOT NULL,
    removed jsonb       NOT NULL
);
CREATE INDEX retention_runs_ran ON retention_runs (ran_at);

REVOKE ALL ON retention_runs FROM cairn_app;
GRANT SELECT, INSERT, DELETE ON retention_runs TO cairn_app;
