DROP TRIGGER guard_accounts ON ledger_accounts;
DROP FUNCTION ledger_guard_accounts();

CREATE OR REPLACE FUNCTION ledger_check_journal() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT t.position INTO culprit FROM added t
    WHERE NOT EXISTS (SELECT FROM events e WHERE e.position = t.position) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is carried by no event', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_journal_event_exists';
    END IF;
    SELECT t.position INTO culprit FROM added t
    WHERE NOT EXISTS (SELECT FROM ledger_periods p WHERE p.status = 'open' AND p.span @> t.effective_on) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % takes effect in no open period', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_period_open';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION ledger_check_postings() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT p.position INTO culprit
    FROM added p
    LEFT JOIN ledger_journal_transactions t ON t.position = p.position
    LEFT JOIN ledger_accounts a ON a.code = p.account
    WHERE t.currency IS DISTINCT FROM p.currency OR a.currency IS DISTINCT FROM p.currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a leg of journal transaction % is not in the currency of its account and transaction', culprit
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_postings_currency';
    END IF;

    SELECT p.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n JOIN ledger_postings p ON p.position = n.position
    GROUP BY p.position, p.currency HAVING sum(p.amount_nanos) <> 0 OR count(*) < 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % does not sum to zero', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_balanced';
    END IF;

    SELECT d.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n
    JOIN ledger_journal_transactions t ON t.position = n.position
    JOIN ledger_postings d ON d.position = n.position AND d.amount_nanos > 0
    JOIN ledger_postings c ON c.position = n.position AND c.amount_nanos < 0
    WHERE NOT EXISTS (
        SELECT FROM ledger_kinds k
        WHERE k.kind = t.kind AND starts_with(d.account, k.debit || ':') AND starts_with(c.account, k.credit || ':')
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % moves money between accounts that its kind may not touch', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_kind';
    END IF;
    RETURN NULL;
END
$$;
