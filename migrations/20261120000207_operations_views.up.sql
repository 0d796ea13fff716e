CREATE TABLE operations_audit_entries (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    organisation_id text,
    actor text NOT NULL,
    origin text,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint NOT NULL,
    event_type text NOT NULL,
    correlation_id text NOT NULL,
    causation_id text,
    command_id text NOT NULL
);
CREATE INDEX operations_audit_entries_organisation ON operations_audit_entries (organisation_id, position);
CREATE INDEX operations_audit_entries_actor ON operations_audit_entries (actor, position);
CREATE INDEX operations_audit_entries_aggregate ON operations_audit_entries (aggregate_type, aggregate_id, position);
CREATE INDEX operations_audit_entries_correlation ON operations_audit_entries (correlation_id, position);

CREATE TABLE operations_interventions (
    intent_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    process text NOT NULL,
    process_key text NOT NULL,
    intent text NOT NULL,
    error text NOT NULL,
    status text NOT NULL,
    calls bigint NOT NULL,
    called_at timestamptz NOT NULL,
    verb text,
    reason text,
    resolved_by text,
    resolved_at timestamptz
);
CREATE INDEX operations_interventions_status ON operations_interventions (status, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON operations_audit_entries, operations_interventions TO cairn_app;
