DROP TABLE log_parked;
DROP TABLE log_carrier;
