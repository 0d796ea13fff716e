-- What organisations sort their rentals into. One that is archived stays: what was used in it is still shown.
CREATE TABLE identity_projects (
    project_id text PRIMARY KEY,
    position bigint NOT NULL UNIQUE,
    organisation_id text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    archived_at timestamptz
);
CREATE INDEX identity_projects_organisation ON identity_projects (organisation_id, position);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity_projects TO cairn_app;
SELECT tenancy_guard('identity_projects', 'organisation_id = tenancy_organisation()');
