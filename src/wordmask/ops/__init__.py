"""Pure functions on arrays: geometry, masks, boxes, run lengths. Independent of models; without state."""
