DROP TABLE finance_papers;
