DROP TABLE projection_parked;
DROP TABLE projection_checkpoints;
