"""Networks that encode images and text, adapters to third-party libraries, and the hub that weights come from."""
