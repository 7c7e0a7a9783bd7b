"""Models and device."""
