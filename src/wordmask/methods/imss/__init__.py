"""IMSS: text isolates regions, a frozen vision model sees them, and a high-resolution branch draws small targets."""
