"""Training of whole-window networks: windows cut anew each epoch, padded and masked."""
