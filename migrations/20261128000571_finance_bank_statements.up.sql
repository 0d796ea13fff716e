-- Statements of our accounts at banks, each as it was imported; the same one twice is one.
CREATE TABLE finance_bank_statements (
    content       text        PRIMARY KEY,
    account       text        NOT NULL CHECK (account ~ '^[a-z0-9_-]{1,32}$'),
    currency      text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    bank_account  text,
    statement_id  text,
    opening_nanos bigint,
    closing_nanos bigint,
    first_on      date        NOT NULL,
    last_on       date        NOT NULL CHECK (last_on >= first_on),
    imported_at   timestamptz NOT NULL,
    CHECK ((opening_nanos IS NULL) = (closing_nanos IS NULL))
);
SELECT log_make_append_only('finance_bank_statements');

-- Their lines, each once, whichever statements have it: what one name says never changes.
CREATE TABLE finance_bank_lines (
    account      text        NOT NULL CHECK (account ~ '^[a-z0-9_-]{1,32}$'),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reference    text        NOT NULL,
    content      text        NOT NULL,
    statement    text        NOT NULL REFERENCES finance_bank_statements (content),
    amount_nanos bigint      NOT NULL,
    booked_on    date        NOT NULL,
    valued_on    date        NOT NULL,
    end_to_end   text,
    text         text        NOT NULL,
    imported_at  timestamptz NOT NULL,
    PRIMARY KEY (account, currency, reference)
);
SELECT log_make_append_only('finance_bank_lines');
