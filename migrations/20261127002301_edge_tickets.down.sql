DROP TABLE edge_tickets;
