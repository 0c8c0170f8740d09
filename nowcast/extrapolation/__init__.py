"""Motion, advection and STEPS-like first guesses, in NumPy and OpenCV."""
