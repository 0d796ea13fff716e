DELETE FROM projection_parked WHERE projection = 'operations/inbox';
DELETE FROM projection_checkpoints WHERE name = 'operations/inbox';
DROP TABLE operations_inbox_reads;
DROP TABLE operations_inbox_marks;
DROP TABLE operations_inbox_notices;
