"""A network that draws a sharp mask on a crop of an image, from the crop and a coarse map of what is meant."""
