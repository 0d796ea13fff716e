DROP TABLE fleet_rejected_evidence;
