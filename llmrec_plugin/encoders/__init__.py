"""Text encoders: how text becomes unit vectors, one module per kind of encoder."""
