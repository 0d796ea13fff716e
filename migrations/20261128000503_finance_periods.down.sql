DROP TABLE finance_periods;
