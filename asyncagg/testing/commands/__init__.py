"""Commands of `python -m asyncagg.testing`."""
