-- The view needs no new fold: no event before today demands a second factor.
ALTER TABLE identity_organisations ADD COLUMN second_factor_demanded boolean NOT NULL DEFAULT false;
