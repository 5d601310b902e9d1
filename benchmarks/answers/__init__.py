"""The frozen answers: what the library answered to some thousand questions, kept, asked again and compared."""
