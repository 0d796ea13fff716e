-- What must be done in the end is tried again while it waits for an operator.
ALTER TABLE process_intents ADD COLUMN retry_at timestamptz;
COMMENT ON COLUMN process_intents.retry_at IS 'an operator was called, and it is tried again from then on all the same';
CREATE INDEX process_intents_persistent ON process_intents (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX process_intents_unread ON process_intents (process, key)
    WHERE name = 'read_event' AND status IN ('ready', 'leased', 'needs_operator');
