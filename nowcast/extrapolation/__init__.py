"""Optical flow, advection, S-PROG and STEPS-like members, in NumPy and OpenCV."""
