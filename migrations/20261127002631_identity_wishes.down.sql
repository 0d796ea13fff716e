DROP TABLE identity_erasures;
DROP TABLE identity_consents;
