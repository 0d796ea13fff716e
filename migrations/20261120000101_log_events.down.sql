DROP TABLE snapshots;
DROP TABLE commands;
DROP TABLE log_head;
DROP FUNCTION log_head_only_grows();
DROP TABLE events;
