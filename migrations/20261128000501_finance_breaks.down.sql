DROP TABLE finance_breaks;
DROP INDEX ledger_journal_of_breaks;
DELETE FROM ledger_kinds WHERE kind IN ('break_correction', 'break_write_off');
CREATE OR REPLACE FUNCTION ledger_account_type(in_code text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN split_part(in_code, ':', 1) IN ('stripe', 'bank', 'clearing', 'receivable') THEN 'asset'
        WHEN split_part(in_code, ':', 1) IN ('wallet', 'refund_payable', 'tax', 'host_payable') THEN 'liability'
        WHEN split_part(in_code, ':', 1) IN ('usage', 'breakage') THEN 'income'
        WHEN split_part(in_code, ':', 1) IN ('stripe_fees', 'dispute_fees', 'dispute_loss', 'goodwill', 'promo') THEN 'expense'
        WHEN split_part(in_code, ':', 1) = 'equity' THEN 'equity'
    END
$$;
