"""Orient turns panes into findings: what is served, what a candidate changes, and how sure that is."""
