-- Which version of the master key wraps what is new. Whoever stores a key holds on to this row meanwhile, so that nothing is wrapped by a
-- version any more once the row says another one, and an old version can be taken away when nothing is wrapped by it.
CREATE TABLE privacy_master (
    id        boolean     PRIMARY KEY DEFAULT true CHECK (id),
    -- Names the version; tells nothing of it.
    master_id text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON privacy_master FROM cairn_app;
GRANT SELECT, INSERT, UPDATE ON privacy_master TO cairn_app;
