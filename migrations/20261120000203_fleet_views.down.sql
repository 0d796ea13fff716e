DROP TABLE fleet_reservations;
DROP TABLE fleet_nodes;
