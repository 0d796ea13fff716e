-- What people should be told: a view. The first event of each thing is here too, without a kind: it says whose the thing is.
CREATE TABLE operations_inbox_notices (
    position        bigint      PRIMARY KEY,
    subject         text        NOT NULL,
    organisation_id text,
    kind            text,
    at              timestamptz NOT NULL
);
CREATE INDEX operations_inbox_notices_subject ON operations_inbox_notices (subject, position);
CREATE INDEX operations_inbox_notices_whose ON operations_inbox_notices (organisation_id, position) WHERE kind IS NOT NULL;

-- What was read, by whoever reads: up to a position all of it, and single notices after it. No event says it, and a rebuild does not touch it.
CREATE TABLE operations_inbox_marks (
    actor    text   PRIMARY KEY,
    position bigint NOT NULL
);
CREATE TABLE operations_inbox_reads (
    actor    text   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (actor, position)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON operations_inbox_notices, operations_inbox_marks, operations_inbox_reads TO cairn_app;
