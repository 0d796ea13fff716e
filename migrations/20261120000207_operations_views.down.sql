DROP TABLE operations_interventions;
DROP TABLE operations_audit_entries;
