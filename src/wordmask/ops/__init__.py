"""Pure functions on arrays: geometry, masks, boxes, run lengths. They know no model and hold no state."""
