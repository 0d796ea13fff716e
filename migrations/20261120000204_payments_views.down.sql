-- What is built again begins at the first event again.
DELETE FROM projection_parked WHERE projection LIKE 'payments/%';
DELETE FROM projection_checkpoints WHERE name LIKE 'payments/%';
DROP TABLE payments_refunds;
DROP TABLE payments_payments;
