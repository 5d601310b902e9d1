"""What a module of another library is seen to do: its layers, its signals, its states."""
