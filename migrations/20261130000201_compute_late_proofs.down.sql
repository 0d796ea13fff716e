DROP TABLE compute_late_proofs;
