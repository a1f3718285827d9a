"""Writers of overlays, PNG masks, COCO annotations and folders; files are written atomically."""
