DROP TABLE payments_refunds;
DROP TABLE payments_payments;
