DROP INDEX finance_external_of_payouts;
DROP TABLE finance_payout_items;
DROP TABLE finance_external_payouts;
DELETE FROM ledger_kinds WHERE kind IN ('payout', 'payout_returned', 'payout_arrived', 'payout_taken_back');
