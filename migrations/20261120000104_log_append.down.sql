DROP FUNCTION log_append(text[], bytea[], text[], text[], bigint[], int[], text[], int[], int[], text[], text[], text[], bigint[], text[], text[], text[], text[], json);
