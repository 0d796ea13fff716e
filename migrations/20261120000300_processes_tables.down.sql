DROP TABLE process_intents;
DROP TABLE process_states;
DROP TABLE process_checkpoints;
