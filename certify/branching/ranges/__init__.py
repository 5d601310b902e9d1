"""What the decided trains of a node say of the other currents of the first layer."""
