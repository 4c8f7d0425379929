"""Engine `processes`: a run whose players live in several processes of this machine."""
