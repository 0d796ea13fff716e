DROP TABLE identity_identities;
