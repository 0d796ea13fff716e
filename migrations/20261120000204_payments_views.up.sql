CREATE TABLE payments_payments (
    payment_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    amount_nanos bigint NOT NULL,
    fee_nanos bigint,
    status text NOT NULL,
    provider_id text,
    charge_id text,
    failure_code text,
    failure_message text,
    requested_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX payments_payments_organisation ON payments_payments (organisation_id, position);
CREATE INDEX payments_payments_provider ON payments_payments (provider_id);

CREATE TABLE payments_refunds (
    refund_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    payment_id text NOT NULL,
    organisation_id text NOT NULL,
    currency text NOT NULL,
    amount_nanos bigint NOT NULL,
    status text NOT NULL,
    charge_id text NOT NULL,
    provider_id text,
    failure_code text,
    requested_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX payments_refunds_organisation ON payments_refunds (organisation_id, position);
CREATE INDEX payments_refunds_payment ON payments_refunds (payment_id, position);
CREATE INDEX payments_refunds_provider ON payments_refunds (provider_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON payments_payments, payments_refunds TO cairn_app;
