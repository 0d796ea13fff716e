-- Tickets that open one thing once, shared by every process. Unlogged: after a crash nobody's is worth anything, and another is asked for.
-- Only a hash is here. Whoever uses one deletes its row, and whoever deletes a row has used it: no two can.
CREATE UNLOGGED TABLE edge_tickets (
    ticket_sha256 bytea       PRIMARY KEY CHECK (length(ticket_sha256) = 32),
    purpose       text        NOT NULL,
    standing      text        NOT NULL,
    expires_at    timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX edge_tickets_expire ON edge_tickets (expires_at);

REVOKE ALL ON edge_tickets FROM cairn_app;
GRANT SELECT, INSERT, DELETE ON edge_tickets TO cairn_app;
