-- How the neighbours of each server stand: a row a server, written again and again. No event says it, and nothing is decided by it.
CREATE TABLE neighbour_standings (
    process   text        PRIMARY KEY,
    standings jsonb       NOT NULL,
    told_at   timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON neighbour_standings TO cairn_app;
