"""Everything that touches encoded video: reading exactly, probing, copying and encoding. No other package imports PyAV."""
