DROP TABLE identity_passkeys;
