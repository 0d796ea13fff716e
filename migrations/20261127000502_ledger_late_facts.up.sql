-- A fact may become known when the period it belongs to is closed. It happened, so it is posted: in the open period, on the day it
-- became known. `occurred_at` keeps saying when it happened. Only late facts pay for the look.
CREATE FUNCTION ledger_place_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_periods p WHERE p.status = 'closed' AND p.span @> NEW.effective_on) THEN
        NEW.effective_on := (NEW.posted_at AT TIME ZONE 'UTC')::date;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER place_late BEFORE INSERT ON ledger_journal_transactions
    FOR EACH ROW WHEN (NEW.effective_on < (NEW.posted_at AT TIME ZONE 'UTC')::date)
    EXECUTE FUNCTION ledger_place_late();
ALTER TABLE ledger_journal_transactions ENABLE ALWAYS TRIGGER place_late;
