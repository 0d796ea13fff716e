-- What the books still let through: legs added to a journal transaction that was complete, a journal transaction on an old event, a
-- reversal that is not the mirror of its original, and a guarded account without the row that guards it.

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
    -- The head moves at the end of an append: what is at or below it was there before, and says what it said.
    SELECT t.position INTO culprit FROM added t
    WHERE t.position <= (SELECT h.position FROM log_head h) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is carried by an event of an earlier append', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journal_event_is_new';
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

    -- A journal transaction without legs cannot commit, so what has all its legs from one statement has them from its own append.
    SELECT n.position INTO culprit
    FROM (SELECT position, count(*) AS legs FROM added GROUP BY position) n
    WHERE n.legs <> (SELECT count(*) FROM ledger_postings p WHERE p.position = n.position) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % has its legs already', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_at_once';
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

    -- Between them, a reversal and its original leave every account as it was.
    SELECT t.position INTO culprit
    FROM (SELECT DISTINCT position FROM added) n
    JOIN ledger_journal_transactions t ON t.position = n.position AND t.reverses IS NOT NULL
    JOIN ledger_journal_transactions o ON o.reference = t.reverses
    WHERE EXISTS (
        SELECT FROM ledger_postings p WHERE p.position IN (t.position, o.position)
        GROUP BY p.account HAVING sum(p.amount_nanos) <> 0
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % is not the mirror of what it reverses', culprit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_postings_mirror';
    END IF;
    RETURN NULL;
END
$$;

-- ledger_post makes the row in the same statement; whoever else opens an account gets it here.
CREATE FUNCTION ledger_guard_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_balances (account, currency, position)
    SELECT a.code, a.currency, a.opened_position FROM added a
    WHERE a.guarded AND NOT EXISTS (SELECT FROM ledger_balances b WHERE b.account = a.code);
    RETURN NULL;
END
$$;
CREATE TRIGGER guard_accounts AFTER INSERT ON ledger_accounts
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_accounts();
ALTER TABLE ledger_accounts ENABLE ALWAYS TRIGGER guard_accounts;
