"""The neurons of each library, and whether a neuron runs by what its library ships."""
