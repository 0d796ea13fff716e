-- The way forward changes nothing: fleet/nodes says by its version whether its rows must be folded anew.
SELECT 'fleet/nodes' AS folded_by_its_version;
