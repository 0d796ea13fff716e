DROP TABLE neighbour_standings;
