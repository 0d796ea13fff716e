-- What nobody could read is stored once, however often the provider repeats it.
CREATE INDEX payments_webhook_inbox_unreadable ON payments_webhook_inbox (provider, sha256(body)) WHERE status = 'unreadable';
