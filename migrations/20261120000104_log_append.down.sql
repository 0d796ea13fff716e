DROP FUNCTION log_append(text[], bytea[], text[], text[], bigint[], int[], text[], text[], int[], int[], text[], text[], text[], json);
