"""PMP, prompt-guided mask proposals (Li et al., arXiv 2412.10292): text guides the queries of a mask decoder."""
