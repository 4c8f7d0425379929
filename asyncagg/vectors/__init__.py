"""What an input looks like on its way into the sum: ring, encoder, bit packing, named arrays, slices."""
