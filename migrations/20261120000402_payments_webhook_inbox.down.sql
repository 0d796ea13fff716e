DROP TABLE payments_webhook_inbox;
DROP FUNCTION payments_webhook_inbox_guard();
