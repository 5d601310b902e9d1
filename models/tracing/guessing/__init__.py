"""What a layer's neuron may be: guesses of its constants."""
