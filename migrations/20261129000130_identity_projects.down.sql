DROP TABLE identity_projects;
