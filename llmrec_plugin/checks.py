"""System checks of settings and declarations."""
