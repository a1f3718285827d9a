"""The published methods: network modules, segmenters and the key maps of published checkpoints."""
