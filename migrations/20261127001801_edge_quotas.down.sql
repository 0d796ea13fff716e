DROP TABLE edge_quotas;
DROP FUNCTION edge_share;
