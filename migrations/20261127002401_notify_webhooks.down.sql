DROP TABLE notify_endpoints;
DROP TABLE notify_attempts;
DROP TABLE notify_deliveries;
DROP TABLE notify_targets;
DELETE FROM process_checkpoints WHERE process = 'tell_webhooks';
