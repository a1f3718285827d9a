"""Training of the compact network: labelled images in memory, batches made on the device, losses, text encoder."""
