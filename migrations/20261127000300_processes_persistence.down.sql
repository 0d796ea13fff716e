DROP INDEX process_intents_unread;
DROP INDEX process_intents_persistent;
ALTER TABLE process_intents DROP COLUMN retry_at;
