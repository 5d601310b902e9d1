"""Which spikes a layer may have step by step, whatever the other steps are."""
