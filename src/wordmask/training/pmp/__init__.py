"""Training of mask proposals: targets, matching and losses."""
