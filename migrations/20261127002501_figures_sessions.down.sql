DROP FUNCTION figures_sessions;
