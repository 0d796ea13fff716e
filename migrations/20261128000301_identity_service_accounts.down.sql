DROP TABLE identity_service_accounts;
ALTER TABLE identity_api_keys DROP COLUMN service_account_id;
