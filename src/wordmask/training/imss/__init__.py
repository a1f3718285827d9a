"""Train the crop network of IMSS: crops, coarse maps of any quality, losses."""
