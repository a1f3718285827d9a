"""The small image and text encoder of the embedded weights, a trunk that several methods can stand on."""
