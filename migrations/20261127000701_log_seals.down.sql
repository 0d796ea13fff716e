DROP TABLE log_seals;
DROP FUNCTION log_seals_continue();
DROP TABLE log_identity;
