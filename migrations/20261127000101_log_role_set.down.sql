-- The role is the whole cluster's; nothing to take back here.
SELECT;
