DROP TABLE privacy_master;
