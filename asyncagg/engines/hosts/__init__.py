"""Engine `hosts`: a run whose players live on many machines."""
